"""The importance-weighted estimate of the log-likelihood, decoded within a bound of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from sxvae.config import DECODING_MEMORY
from sxvae.distributions.precision import promoted, promoted_distribution
from sxvae.models.networks import largest_layer
from sxvae.models.posterior import posterior_parameters

if TYPE_CHECKING:
    from sxvae.models.vae import ProductSpaceVAE

# Coordinates of importance samples that are drawn at a time. This decides what is drawn from a
# seed, and so, unlike the memory for decoding, it can't be chosen.
_COORDINATES_AT_A_TIME = 2**18


class ImportanceTerms(NamedTuple):
    """The importance-weighted log-likelihood and, from the same draws, the ELBO's parts.

    Attributes:
        log_likelihood: shape (batch,), nats, float64.
        reconstruction: mean over the draws of log p(x given z), shape (batch,), nats, float64.
        kl: KL of each factor in closed form, shape (batch, factors), nats.
        concentration: of each sphere's posterior, shape (batch, spheres).
        effective_samples: (sum of the importance weights)^2 / sum of their squares, from 1 to the
            number of samples, shape (batch,).
    """

    log_likelihood: Tensor
    reconstruction: Tensor
    kl: Tensor
    concentration: Tensor
    effective_samples: Tensor


@torch.no_grad()
def importance_terms(
    model: ProductSpaceVAE,
    x: Tensor,
    samples: int,
    *,
    memory: int = DECODING_MEMORY,
    on_progress: Callable[[float], None] | None = None,
) -> ImportanceTerms:
    """What `ProductSpaceVAE.importance_terms` returns, which says more."""
    if samples < 1:
        raise ValueError(f"at least one importance sample is needed, not {samples}")
    if memory < 1:
        raise ValueError(f"decoding needs at least 1 MiB, not {memory}")
    model.check_images(x)
    model.likelihood.check(x)
    posterior, prior = (promoted_distribution(each) for each in (model.encode(x), model.prior()))
    model_type, x = next(model.head.parameters()).dtype, promoted(x)
    log_weights = torch.full(x.shape[:1], -math.inf, dtype=torch.float64, device=x.device)
    log_squares = log_weights.clone()
    reconstruction = torch.zeros_like(log_weights)
    decoded = 0
    for drawn in slices(samples, _COORDINATES_AT_A_TIME // (len(x) * model.space.ambient)):
        z = posterior.sample((drawn.stop - drawn.start,))
        given_z = torch.empty(z.shape[:-1], dtype=torch.float64, device=x.device)
        for part in decoding_parts(model, len(z), len(x), memory):
            likelihood = promoted_distribution(model.decode(z[part].to(model_type)))
            given_z[part] = likelihood.log_prob(x[part[1]]).double()
            decoded += given_z[part].numel()
            if on_progress is not None:
                on_progress(decoded / (samples * len(x)))
        weights = given_z + prior.log_prob(z).double() - posterior.log_prob(z).double()
        log_weights = torch.logaddexp(log_weights, torch.logsumexp(weights, dim=0))
        log_squares = torch.logaddexp(log_squares, torch.logsumexp(2 * weights, dim=0))
        reconstruction += given_z.sum(dim=0)
    return ImportanceTerms(
        log_weights - math.log(samples),
        reconstruction / samples,
        posterior.kl_per_factor(prior),
        posterior_parameters(posterior, model.space).concentration,
        (2 * log_weights - log_squares).exp(),
    )


def decoding_parts(
    model: ProductSpaceVAE, samples: int, images: int, memory: int
) -> Iterator[tuple[slice, slice]]:
    """Parts of samples x images, each of which is decoded within `memory` MiB.

    The estimate is the size of the decoder's largest layer, times the number of arrays of that size
    that the likelihood holds at a time. Of a custom decoder only the size of its outputs is known.
    """
    outputs = math.prod(model.likelihood.outputs_shape(model.settings.input_shape))
    numbers = max(outputs, largest_layer(model.decoder), model.space.ambient)
    number_size = next(model.head.parameters()).element_size()
    pairs = memory * 2**20 // (model.likelihood.arrays_at_a_time * numbers * number_size)
    for some_samples in slices(samples, pairs // images):
        for some_images in slices(images, pairs):
            yield some_samples, some_images


def slices(length: int, size: int) -> Iterator[slice]:
    """Consecutive slices of `size`, or of 1 where it is less, that cover `length`."""
    size = max(size, 1)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
