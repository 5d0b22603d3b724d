"""Samples of a posterior together with its KL: what a training step needs of it, at once."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sxvae.distributions import VonMisesFisher
from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.geometry import uniform_directions_of_any_length
from sxvae.distributions.known_derivatives import first_order
from sxvae.distributions.rotational import partition_table
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.distributions.sampling.implicit import derivative_type, quadrature
from sxvae.distributions.sampling.threads import in_blocks
from sxvae.errors import NumericalError
from sxvae.models.posterior import PosteriorHead
from sxvae.randomness import fresh_seed
from sxvae.spaces import ProductSpace

Array = NDArray[Any]

# What a thread does at a time.
_ROWS = 2_048


def sample_and_kl(head: PosteriorHead, features: Tensor) -> tuple[Tensor, Tensor]:
    """One sample of each posterior and the KL of each factor to the prior.

    The same as `rsample` and `kl_per_factor` of the posterior that `head` makes of the features,
    and from the same random numbers.

    Args:
        head: the posterior's.
        features: shape (batch, features).

    Returns:
        Shapes (batch, ambient) and (batch, factors), nats.

    Raises:
        NumericalError: if a concentration is not finite.
    """
    space = head.space
    if head.concentration is not None and _is_compiled(head.concentration, space, features):
        loc, k = head.loc, head.concentration
        z, kl = _SampleAndKL.apply(features, loc.weight, loc.bias, k.weight, k.bias, space)
        return z, kl
    posterior = space.posterior(*head(features))
    prior = space.prior(dtype=features.dtype, device=features.device)
    return posterior.rsample(), posterior.kl_per_factor(prior)


def _is_compiled(layer: nn.Linear, space: ProductSpace, features: Tensor) -> bool:
    """Whether the compiled functions can do it all."""
    is_alike = features.dtype == layer.weight.dtype  # not so under autocast
    return is_alike and runs_compiled(features) and _groups(space, features.dtype) is not None


class _Group(NamedTuple):
    """The spheres of one dimension, and what their figures and derivatives are computed with.

    Attributes:
        ambient: p.
        offsets: where the coordinates of each begin.
        columns: the place of each among the factors.
        table: the coefficients of the `PartitionTable`, its start and its cells' width.
        quadrature: nodes, weights and depth.
    """

    ambient: int
    offsets: NDArray[np.int64]
    columns: NDArray[np.int64]
    table: tuple[Array, float, float]
    quadrature: tuple[Array, Array, float]


class _Drawn(NamedTuple):
    """What a group's samples for some images were made of, for the way back.

    Attributes:
        images: which ones.
        direction: as `kernels.posterior` has it, as is the next.
        work: likewise.
    """

    images: slice
    direction: Array
    work: NDArray[np.float64]


@functools.lru_cache
def _groups(space: ProductSpace, dtype: torch.dtype) -> list[_Group] | None:
    """None if there are factors of another family."""
    if set(space.families) != {"vmf"}:
        return None
    groups = []
    for (_, dim), places in space.groups.items():
        table = partition_table(VonMisesFisher, dim + 1)
        coefficients = table.on(torch.device("cpu")).numpy()
        groups.append(
            _Group(
                dim + 1,
                np.array([space.factors[place].offset for place in places]),
                np.array(places),
                (coefficients, table.start, table.cell),
                quadrature(derivative_type(torch.empty((), dtype=dtype), dim + 1), False),
            )
        )
    return groups


class _SampleAndKL(torch.autograd.Function):
    """The heads' two layers are in here too, as one, whose weights lie side by side."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        features: Tensor,
        loc_weight: Tensor,
        loc_bias: Tensor,
        k_weight: Tensor,
        k_bias: Tensor,
        space: ProductSpace,
    ) -> tuple[Tensor, Tensor]:
        weight, bias = torch.cat([loc_weight, k_weight]), torch.cat([loc_bias, k_bias])
        raw = torch.addmm(bias, features, weight.t())
        z = features.new_empty(len(features), space.ambient)
        kl = features.new_empty(len(features), len(space.factors))
        groups = _groups(space, features.dtype)
        assert groups is not None  # or this would not be called
        outputs = raw.numpy(), z.numpy(), kl.numpy()
        ctx.groups = [(group, _draw(group, *outputs, raw.dtype)) for group in groups]
        ctx.weight, ctx.raw = weight, outputs[0]
        ctx.save_for_backward(features, loc_weight, loc_bias, k_weight, k_bias)
        return z, kl

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        saved = ctx.saved_tensors
        with torch.no_grad():
            gradients = _gradients(ctx, saved[0], len(saved[1]), *grads)
        if torch.is_grad_enabled():  # somebody wants second derivatives
            gradients = tuple(first_order(each, *saved) for each in gradients)
        return *gradients, None


def _gradients(
    ctx: Any,  # noqa: ANN401
    features: Tensor,
    ambient: int,
    by_z: Tensor,
    by_kl: Tensor,
) -> tuple[Tensor, ...]:
    """With respect to features, and weight and bias of both layers."""
    by_raw = np.empty_like(ctx.raw)
    by_outputs = by_z.contiguous().numpy(), by_kl.contiguous().numpy()
    by_bias = np.zeros_like(ctx.raw[0])
    for group, drawn in ctx.groups:
        by_bias += _differentiate(group, drawn, ctx.raw, *by_outputs, by_raw)
    gradient, bias = torch.from_numpy(by_raw), torch.from_numpy(by_bias)
    weight = gradient.t() @ features
    by_loc, by_k = (weight[:ambient], bias[:ambient]), (weight[ambient:], bias[ambient:])
    return gradient @ ctx.weight, *by_loc, *by_k


def _draw(group: _Group, raw: Array, z: Array, kl: Array, dtype: torch.dtype) -> list[_Drawn]:
    """Fill in a group's samples and KL; a block of images is done by a thread.

    Raises:
        NumericalError: if a concentration is not finite.
    """
    from sxvae.kernels import posterior as kernel

    spheres = len(group.offsets)
    seed = fresh_seed()
    shape = len(raw) * spheres, group.ambient - 1
    direction = uniform_directions_of_any_length(shape, dtype).numpy()
    drawn, invalid = [], []

    def task(images: slice) -> None:
        first, last = images.start * spheres, images.stop * spheres
        work = np.empty(kernel.work_size(last - first, group.ambient))
        found = _Drawn(images, direction[first:last], work)
        places = raw[images], group.offsets, group.columns
        outputs = z[images], kl[images]
        row = kernel.draw(*places, *group.table, seed, first, *found[1:], *outputs)
        drawn.append(found)
        if row >= 0:
            invalid.append(row)

    in_blocks(len(raw), _images_in_a_block(group, len(raw)), task)
    if invalid:
        k = torch.nn.functional.softplus(torch.from_numpy(raw[:, z.shape[1] + group.columns])) + 1
        check_concentrations(k, "von Mises-Fisher", group.ambient)
        raise NumericalError(f"von Mises-Fisher sampling in R^{group.ambient} did not end")
    return drawn


def _differentiate(
    group: _Group, drawn: list[_Drawn], raw: Array, by_z: Array, by_kl: Array, by_raw: Array
) -> Array:
    """Fill in the gradients with respect to a group's outputs; those to the biases."""
    from sxvae.kernels import posterior as kernel

    by_bias = np.zeros((len(drawn), raw.shape[1]), dtype=raw.dtype)
    size = _images_in_a_block(group, len(raw))

    def task(blocks: slice) -> None:
        for images, direction, work in drawn[blocks]:
            kernel.differentiate_draw(
                by_z[images],
                by_kl[images],
                raw[images],
                group.offsets,
                group.columns,
                direction,
                work,
                *group.quadrature,
                by_raw[images],
                by_bias[images.start // size],
            )

    in_blocks(len(drawn), 1, task)
    total: Array = by_bias.sum(axis=0)
    return total


def _images_in_a_block(group: _Group, images: int) -> int:
    """So many that the blocks are equal, whatever the number of threads."""
    blocks = math.ceil(images * len(group.offsets) / _ROWS)
    return math.ceil(images / blocks)
