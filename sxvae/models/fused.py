"""Posterior samples and their KL from the head's outputs, as one operation for the CPU.

Between two matrix products a training step has a few hundred numbers to work on, and separate
PyTorch operations would spend most of their time on calls.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.distributions import VonMisesFisher
from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.exponential_family import partition_table
from sxvae.distributions.geometry import uniform_directions_of_any_length
from sxvae.distributions.known_derivatives import first_order
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.distributions.sampling.implicit import derivative_type, quadrature
from sxvae.distributions.sampling.threads import in_blocks
from sxvae.distributions.transforms import is_transforming
from sxvae.errors import NumericalError
from sxvae.models.parameters import concentration
from sxvae.randomness import fresh_seed
from sxvae.spaces import ProductSpace

Array = NDArray[Any]

# Rows (an image's sphere each) that a thread works on at a time.
_ROWS = 2_048


def is_fusible(outputs: Tensor, space: ProductSpace) -> bool:
    """Whether `fused_sample_and_kl` can be used: the CPU, von Mises-Fisher factors only."""
    is_plain = outputs.dtype in (torch.float32, torch.float64) and outputs.dim() == 2
    return is_plain and runs_compiled(outputs) and set(space.families) == {"vmf"}


def fused_sample_and_kl(outputs: Tensor, space: ProductSpace) -> tuple[Tensor, Tensor]:
    """One sample of each posterior, and the KL of each factor to the uniform distribution.

    Args:
        outputs: of the head's layer, as `HeadLayout` says, shape (batch, outputs).
        space: whose factors are all von Mises-Fisher.

    Returns:
        Shapes (batch, ambient) and (batch, factors), nats.

    Raises:
        NumericalError: if a concentration is not finite.
    """
    z, kl = _SampleAndKL.apply(outputs, space)
    return z, kl


class _Group(NamedTuple):
    """The spheres of one dimension, and the constants of their KL and derivatives.

    Attributes:
        ambient: p.
        offsets: where the coordinates of each begin.
        columns: the index of each among the factors.
        table: the coefficients of the `PartitionTable`, its start and its cells' width.
        quadrature: nodes, weights and depth.
    """

    ambient: int
    offsets: NDArray[np.int64]
    columns: NDArray[np.int64]
    table: tuple[Array, float, float]
    quadrature: tuple[Array, Array, float]


class _Drawn(NamedTuple):
    """What the backward pass needs of a group's samples for a block of images.

    Attributes:
        images: the block.
        direction: as `kernels.posterior.draw` was given it.
        work: as `kernels.posterior.draw` filled it.
    """

    images: slice
    direction: Array
    work: NDArray[np.float64]


@functools.lru_cache
def _groups(space: ProductSpace, dtype: torch.dtype) -> list[_Group]:
    groups = []
    for (_, dim), indices in space.groups.items():
        table = partition_table(VonMisesFisher, dim + 1)
        coefficients = table.on(torch.device("cpu")).numpy()
        groups.append(
            _Group(
                dim + 1,
                np.array([space.factors[index].offset for index in indices]),
                np.array(indices),
                (coefficients, table.start, table.cell),
                quadrature(derivative_type(torch.empty((), dtype=dtype), dim + 1), False),
            )
        )
    return groups


class _SampleAndKL(torch.autograd.Function):
    """The fused operation: activation, sampling and KL."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        outputs: Tensor,
        space: ProductSpace,
    ) -> tuple[Tensor, Tensor]:
        raw = outputs.contiguous().numpy()
        z = outputs.new_empty(len(raw), space.ambient)
        kl = outputs.new_empty(len(raw), len(space.factors))
        ctx.groups = [
            (group, _draw(group, raw, z.numpy(), kl.numpy(), outputs.dtype))
            for group in _groups(space, outputs.dtype)
        ]
        ctx.raw = raw
        ctx.save_for_backward(outputs)
        return z, kl

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        if is_transforming():
            raise NotImplementedError(
                "torch.func.vmap can't be taken over the gradients of a posterior's fused sample: "
                "take it over the whole function instead"
            )
        saved = ctx.saved_tensors  # PyTorch checks here that `raw`, their memory, is unchanged
        by_z, by_kl = (gradient.detach().contiguous().numpy() for gradient in grads)
        by_outputs = np.empty_like(ctx.raw)
        for group, drawn in ctx.groups:
            _differentiate(group, drawn, ctx.raw, by_z, by_kl, by_outputs)
        gradient = torch.from_numpy(by_outputs)
        if torch.is_grad_enabled():  # somebody wants second derivatives
            gradient = first_order(gradient, *saved, *grads)
        return gradient, None


def _draw(group: _Group, raw: Array, z: Array, kl: Array, dtype: torch.dtype) -> list[_Drawn]:
    """Fill in a group's samples and KL, blocks of images in parallel.

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
        inputs = raw[images], group.offsets, group.columns
        outputs = z[images], kl[images]
        row = kernel.draw(*inputs, *group.table, seed, first, *found[1:], *outputs)
        drawn.append(found)
        if row >= 0:
            invalid.append(row)

    in_blocks(len(raw), _images_per_block(group, len(raw)), task)
    if invalid:
        k = concentration(torch.from_numpy(raw[:, z.shape[1] + group.columns]))
        check_concentrations(k, "von Mises-Fisher", group.ambient)
        raise NumericalError(f"von Mises-Fisher sampling in R^{group.ambient} did not end")
    return drawn


def _differentiate(
    group: _Group, drawn: list[_Drawn], raw: Array, by_z: Array, by_kl: Array, by_raw: Array
) -> None:
    """Fill in the gradients with respect to a group's outputs."""
    from sxvae.kernels import posterior as kernel

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
            )

    in_blocks(len(drawn), 1, task)


def _images_per_block(group: _Group, images: int) -> int:
    """Images per block, from the batch alone: results do not depend on the thread count."""
    blocks = max(1, math.ceil(images * len(group.offsets) / _ROWS))
    return math.ceil(images / blocks)
