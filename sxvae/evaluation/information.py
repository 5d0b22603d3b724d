"""How much each factor says about the image: its mutual information under the aggregate posterior.

The KL of a factor is the sum of two parts [8]: the mutual information of image and latent variable,
which is what the factor says, and the KL of the aggregate posterior to the prior, which it pays
without saying anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from sxvae.collapse import collapsed_factors
from sxvae.config import DECODING_MEMORY
from sxvae.distributions import ProductDistribution
from sxvae.distributions.precision import promoted_distribution
from sxvae.models.importance import slices
from sxvae.models.posterior import posterior_parameters
from sxvae.models.vae import ProductSpaceVAE, evaluating
from sxvae.randomness import seeded
from sxvae.spaces import PosteriorParameters, ProductSpace

# Posterior draws over all images. Every draw is compared with every image, so there are fewer where
# images or coordinates are many; the numbers of all comparisons together stay near the second one.
_MOST_DRAWS, _FEWEST_DRAWS = 2_048, 256
_NUMBERS = 2**33
# Coordinates that are drawn at a time. This decides what is drawn from a seed.
_COORDINATES_AT_A_TIME = 2**18
# What a log-density holds at a time for each coordinate: arrays in float64.
_BYTES_PER_COORDINATE = 4 * 8

# Images that are encoded at a time.
_BATCH = 500


@torch.no_grad()
def collapsed_by_images(model: ProductSpaceVAE, x: Tensor) -> tuple[int, ...]:
    """The indices, from 0, of the factors that have collapsed as far as these images tell.

    Args:
        model: on the device to use.
        x: images in [0, 1], shape (n, C, H, W); a single one tells nothing.
    """
    if len(x) == 1:
        return ()
    device = next(model.parameters()).device
    with evaluating(model):
        posteriors = [model.encode(part.to(device)) for part in x.split(_BATCH)]
    parameters = joined_parameters(posteriors, model.space)
    with seeded(0, "mutual information", device):
        _, terms = information_terms(parameters, model.space)
    concentration = in_factor_order(parameters.concentration.mean(dim=0).tolist(), model.space)
    collapsed = collapsed_factors(terms.mean(dim=0).tolist(), concentration)
    return tuple(index for index, value in enumerate(collapsed) if value)


def joined_parameters(
    posteriors: Iterable[ProductDistribution], space: ProductSpace
) -> PosteriorParameters:
    """The parameters of the posteriors of batches of images, as of one batch, in float64."""
    found = [posterior_parameters(promoted_distribution(each), space) for each in posteriors]
    return PosteriorParameters(*(torch.cat(parts).double() for parts in zip(*found, strict=True)))


def in_factor_order(concentrations: list[float], space: ProductSpace) -> list[float | None]:
    """The spheres' concentrations in the factors' order, None for Euclidean factors."""
    remaining = iter(concentrations)
    return [next(remaining) if factor.is_sphere else None for factor in space.factors]


@torch.no_grad()
def information_terms(
    parameters: PosteriorParameters, space: ProductSpace, *, memory: int = DECODING_MEMORY
) -> tuple[Tensor, Tensor]:
    """Log q(z_j given x) - log q(z_j) of each factor, mean over an image's posterior draws.

    q(z_j) is the mean of the densities q(z_j given x) of all images. Its mutual information with
    the image is the mean of the terms over the images, at most the logarithm of their number. The
    random numbers come from PyTorch's global stream.

    Args:
        parameters: the posteriors of n images, float64.
        space: their space.
        memory: what comparing draws with images may take at a time, in MiB; the draws do not depend
            on it.

    Returns:
        The indices of the images that draws were taken of: all in order, or some by chance where
        there are many, shape (m,); and the terms, nats, float64, shape (m, factors).
    """
    images, draws = _images_and_draws(len(parameters.loc), space.ambient)
    index = torch.arange(len(parameters.loc))
    if images < len(index):
        index = torch.randperm(len(index))[:images]
    index = index.to(parameters.loc.device)
    terms = [
        _terms(parameters, index[part], space, draws, memory)
        for part in slices(images, _COORDINATES_AT_A_TIME // space.ambient)
    ]
    return index, torch.cat(terms)


def _images_and_draws(images: int, ambient: int) -> tuple[int, int]:
    """Of how many images to take draws, and how many draws of each."""
    all_draws = min(max(_NUMBERS // (images * ambient), _FEWEST_DRAWS), _MOST_DRAWS)
    return min(images, all_draws), max(1, all_draws // images)


def _terms(
    parameters: PosteriorParameters, index: Tensor, space: ProductSpace, draws: int, memory: int
) -> Tensor:
    """The terms of the images at `index`, shape (len(index), factors)."""
    posterior = space.posterior(*(values[index] for values in parameters))
    total = torch.zeros(
        len(index), len(space.factors), dtype=torch.float64, device=parameters.loc.device
    )
    for drawn in slices(draws, _COORDINATES_AT_A_TIME // (len(index) * space.ambient)):
        z = posterior.sample((drawn.stop - drawn.start,))
        aggregate = aggregate_log_density(z.flatten(0, 1), parameters, space, memory=memory)
        given_x = posterior.log_prob_per_factor(z)
        total += (given_x - aggregate.unflatten(0, z.shape[:2])).sum(dim=0)
    return total / draws


@torch.no_grad()
def aggregate_log_density(
    z: Tensor,
    parameters: PosteriorParameters,
    space: ProductSpace,
    *,
    memory: int = DECODING_MEMORY,
) -> Tensor:
    """Log q(z_j) of each factor: of the mean density of all images' posteriors.

    Args:
        z: latent vectors, float64, shape (points, ambient).
        parameters: the posteriors of the images, float64.
        space: their space.
        memory: what may be held at a time, in MiB.

    Returns:
        Shape (points, factors), nats, float64.
    """
    images = len(parameters.loc)
    # A normal factor of full covariance has a matrix for each image.
    numbers = max(space.ambient, *(factor.scales for factor in space.factors))
    pairs = memory * 2**20 // (_BYTES_PER_COORDINATE * numbers)
    side = math.isqrt(pairs)
    log_sum = torch.full((len(z), len(space.factors)), -math.inf, device=z.device).double()
    for some_images in slices(images, pairs // max(1, min(side, len(z)))):
        posterior = space.posterior(*(values[some_images] for values in parameters))
        for points in slices(len(z), pairs // (some_images.stop - some_images.start)):
            log_density = posterior.log_prob_per_factor(z[points, None])
            found = torch.logsumexp(log_density, dim=1)
            log_sum[points] = torch.logaddexp(log_sum[points], found)
    return log_sum - math.log(images)
