"""Samples around a mean direction and their gradients on the CPU, by the compiled functions.

These are imported where they are called: importing Numba takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions_of_any_length
from sxvae.distributions.known_derivatives import first_order
from sxvae.distributions.partition_table import Figures, PartitionTable
from sxvae.distributions.sampling.implicit import derivative_type, quadrature
from sxvae.distributions.sampling.threads import in_blocks
from sxvae.distributions.sampling.wood import Gaps
from sxvae.randomness import fresh_seed

# What a thread does at a time: so many coordinates, gaps or derivatives.
_NUMBERS, _ROWS = 2**16, 4_096


class Family(NamedTuple):
    """What belongs to a family of distributions here.

    Attributes:
        number: the family's among the compiled functions.
        log_singular: whether s is infinite opposite to the mean direction.
        gaps: draws the distances of <loc, x> from 1 and -1, from the concentrations (rows,) and
            the number of samples.
        loss: gives the means of -s, of the concentrations' shape; called if a gradient is wanted.
    """

    number: int
    log_singular: bool
    gaps: Callable[[Tensor, int], Gaps]
    loss: Callable[[], Tensor]


def draw(loc: Tensor, concentration: Tensor, sample_shape: torch.Size, family: Family) -> Tensor:
    """Samples, shape (*sample_shape, *batch_shape, p), with pathwise gradients.

    Args:
        loc: unit vectors, shape (*batch_shape, p).
        concentration: k, shape batch_shape.
        sample_shape: how many of each.
        family: the distribution's.
    """
    rows = loc.reshape(-1, loc.shape[-1]), concentration.reshape(-1)
    x: Tensor = _Sample.apply(*rows, sample_shape.numel(), family)
    return x.view(*sample_shape, *loc.shape)


def draw_von_mises_fisher_gaps(concentration: Tensor, count: int, ambient: int) -> Gaps | None:
    """The gaps of so many samples, or None if a concentration is not valid."""
    from sxvae.kernels import sampling as compiled

    k = concentration.contiguous().numpy()
    gaps = torch.empty(2, count, dtype=torch.float64)
    near, far = gaps.numpy()
    seed = fresh_seed()
    invalid: list[int] = []

    def task(block: slice) -> None:
        row = compiled.draw_gaps(k, ambient, seed, block.start, near[block], far[block])
        if row >= 0:
            invalid.append(row)

    in_blocks(count, _ROWS, task)
    return None if invalid else Gaps(*gaps)


def look_up(table: PartitionTable, concentration: Tensor) -> Figures:
    """What `table` gives for concentrations of any shape."""
    from sxvae.kernels import sampling as compiled

    k = concentration.detach().reshape(-1).contiguous()
    figures = torch.empty(3, len(k), dtype=torch.float64)
    coefficients = table.on(k.device).numpy()
    compiled.interpolate(k.numpy(), coefficients, table.start, table.cell, figures.numpy())
    return Figures(*(each.view(concentration.shape) for each in figures))


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        loc: Tensor,
        concentration: Tensor,
        samples: int,
        family: Family,
    ) -> Tensor:
        gaps = family.gaps(concentration, samples * len(loc))
        x = loc.new_empty(samples * len(loc), loc.shape[-1])
        direction = uniform_directions_of_any_length((len(x), x.shape[-1] - 1), loc.dtype)
        _place(loc, gaps, direction, x)
        if any(ctx.needs_input_grad):
            ctx.family = family
            ctx.save_for_backward(loc, concentration, *gaps, direction)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        with torch.no_grad():
            by_loc, by_concentration = _differentiate(ctx.family, grads[0], *ctx.saved_tensors)
        if torch.is_grad_enabled():  # somebody wants second derivatives
            loc, concentration = ctx.saved_tensors[:2]
            by_loc = first_order(by_loc, loc, concentration)
            by_concentration = first_order(by_concentration, loc, concentration)
        return by_loc, by_concentration, None, None


def _place(loc: Tensor, gaps: Gaps, direction: Tensor, x: Tensor) -> None:
    """Fill in the samples, and bring the tangent directions to length 1."""
    from sxvae.kernels import sampling as compiled

    rows, noise, samples = loc.contiguous().numpy(), direction.numpy(), x.numpy()
    near, far = (each.numpy() for each in gaps)

    def task(block: slice) -> None:
        compiled.place(rows, block.start, near[block], far[block], noise[block], samples[block])

    in_blocks(len(x), max(1, _NUMBERS // x.shape[-1]), task)


def _differentiate(
    family: Family,
    grad: Tensor,
    loc: Tensor,
    concentration: Tensor,
    near: Tensor,
    far: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients with respect to loc and concentration."""
    from sxvae.kernels import sampling as compiled

    by_loc = torch.zeros(loc.shape, dtype=torch.float64)
    by_concentration = torch.zeros(concentration.shape, dtype=torch.float64)
    log_singular = family.log_singular
    dtype = derivative_type(concentration, loc.shape[-1], log_singular=log_singular)
    nodes, weights, depth = quadrature(dtype, log_singular)
    rows, k, mean = (
        each.contiguous().numpy() for each in (loc, concentration, family.loss().reshape(-1))
    )
    samples = [each.contiguous().numpy() for each in (grad, near, far, direction)]

    def task(block: slice) -> None:
        parts = [each[block] for each in samples]
        compiled.differentiate(
            family.number,
            block.start,
            parts[0],
            parts[1],
            parts[2],
            parts[3],
            rows,
            k,
            mean,
            nodes,
            weights,
            depth,
            by_loc.numpy(),
            by_concentration.numpy(),
        )

    # Threads must not add to one row at a time.
    count = len(grad)
    in_blocks(count, _ROWS if count == len(loc) else count, task)
    return by_loc.to(loc.dtype), by_concentration.to(concentration.dtype)
