"""How much each factor says about the image: its mutual information under the aggregate posterior.

The KL of a factor is the sum of two parts [8]: the mutual information of image and latent variable,
which is what the factor says, and the KL of the aggregate posterior to the prior, which it pays
without saying anything.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sxvae.config import DECODING_MEMORY
from sxvae.distributions.precision import promoted
from sxvae.models.importance import slices
from sxvae.spaces import PosteriorParameters, ProductSpace

# Posterior draws over all images. Every draw is compared with every image, so there are fewer where
# images or coordinates are many; the numbers of all comparisons together stay near the second one.
_MOST_DRAWS, _FEWEST_DRAWS = 2_048, 256
_NUMBERS = 2**33
# Coordinates that are drawn at a time. This decides what is drawn from a seed.
_COORDINATES_AT_A_TIME = 2**18
# What a log-density holds at a time for each coordinate: arrays in float64.
_BYTES_PER_COORDINATE = 4 * 8


@torch.no_grad()
def information_terms(
    parameters: PosteriorParameters, space: ProductSpace, *, memory: int = DECODING_MEMORY
) -> tuple[Tensor, Tensor]:
    """log q(z_j given x) - log q(z_j) of each factor, mean over an image's posterior draws.

    q(z_j) is the mean of the densities q(z_j given x) of all images. Its mutual information with
    the image is the mean of the terms over the images, at most the logarithm of their number. The
    random numbers come from PyTorch's global stream.

    Args:
        parameters: the posteriors of n images.
        space: their space.
        memory: what comparing draws with images may take at a time, in MiB; the draws do not depend
            on it.

    Returns:
        The indices of the images that draws were taken of: all in order, or some by chance where
        there are many, shape (m,); and the terms, nats, float64, shape (m, factors).
    """
    parameters = PosteriorParameters(*map(promoted, parameters))
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
        given_x = posterior.log_prob_per_factor(z).double()
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
    """log q(z_j) of each factor: of the mean density of all images' posteriors.

    Args:
        z: latent vectors, shape (points, ambient).
        parameters: the posteriors of the images.
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
            found = torch.logsumexp(log_density, dim=1).double()
            log_sum[points] = torch.logaddexp(log_sum[points], found)
    return log_sum - math.log(images)
