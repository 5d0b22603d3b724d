"""Samples around a mean direction and their gradients on the CPU, by the compiled functions.

Each function here imports the compiled ones that it calls, because importing Numba takes half a
second. Before they are called, `backend.runs_compiled` has to say that they can be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions_of_any_length
from sxvae.distributions.partition_table import PartitionMoments, PartitionTable
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.implicit import derivative_type, quadrature
from sxvae.distributions.sampling.threads import in_blocks
from sxvae.distributions.sampling.traced import CosineDerivative, Drawn, twice_differentiable
from sxvae.distributions.transforms import is_transforming
from sxvae.kernels.constants import POWER_SPHERICAL
from sxvae.randomness import fresh_seed

# What a thread does at a time: so many coordinates, or so many cosines or derivatives.
_NUMBERS, _ROWS = 2**16, 4_096


class Family(NamedTuple):
    """What the compiled functions need to know of a distribution family.

    Attributes:
        number: the family's number in `sxvae.kernels.constants`.
        log_singular: whether the statistic s is infinite opposite to the mean direction.
        draw_cosines: draws 1 - <loc, x> and 1 + <loc, x>, from the concentrations (rows,) and the
            number of samples.
        mean: gives E[-s], of the concentrations' shape; called if a gradient is wanted.
        derivative: gives d(1 - t)/dk of samples; called if second derivatives are wanted.
    """

    number: int
    log_singular: bool
    draw_cosines: Callable[[Tensor, int], Cosines]
    mean: Callable[[], Tensor]
    derivative: CosineDerivative


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


def draw_cosines(concentration: Tensor, count: int, ambient: int, family: int) -> Cosines | None:
    """Draw 1 - <loc, x> and 1 + <loc, x> of samples.

    Args:
        concentration: k, shape (rows,); sample i belongs to row i % rows.
        count: the number of samples.
        ambient: p.
        family: its number in `sxvae.kernels.constants`.

    Returns:
        Both of shape (count,), float64; None if a concentration is negative or not finite.
    """
    from sxvae.kernels import beta, wood

    kernel = beta.draw_cosines if family == POWER_SPHERICAL else wood.draw_cosines
    k = concentration.contiguous().numpy()
    cosines = torch.empty(2, count, dtype=torch.float64)
    one_minus_cosine, one_plus_cosine = cosines.numpy()
    seed = fresh_seed()
    invalid: list[int] = []

    def task(block: slice) -> None:
        row = kernel(k, ambient, seed, block.start, one_minus_cosine[block], one_plus_cosine[block])
        if row >= 0:
            invalid.append(row)

    in_blocks(count, _ROWS, task)
    return None if invalid else Cosines(*cosines)


def look_up(table: PartitionTable, concentration: Tensor) -> PartitionMoments:
    """What `table` gives for concentrations of any shape."""
    from sxvae.kernels.partition_table import interpolate

    k = concentration.detach().reshape(-1).contiguous()
    moments = torch.empty(3, len(k), dtype=torch.float64)
    coefficients = table.on(k.device).numpy()
    interpolate(k.numpy(), coefficients, table.start, table.cell, moments.numpy())
    return PartitionMoments(*(each.view(concentration.shape) for each in moments))


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        loc: Tensor,
        concentration: Tensor,
        samples: int,
        family: Family,
    ) -> Tensor:
        cosines = family.draw_cosines(concentration, samples * len(loc))
        x = loc.new_empty(samples * len(loc), loc.shape[-1])
        direction = uniform_directions_of_any_length((len(x), x.shape[-1] - 1), loc.dtype)
        _place(loc, cosines, direction, x)
        if any(ctx.needs_input_grad):
            ctx.family = family
            ctx.save_for_backward(loc, concentration, *cosines, direction)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        gradients: tuple[Tensor | None, ...] = None, None
        if not is_transforming():
            with torch.no_grad():
                gradients = _differentiate(ctx.family, grads[0], *ctx.saved_tensors)
        if torch.is_grad_enabled() or is_transforming():  # second derivatives are wanted, or many
            loc, concentration, one_minus, one_plus, direction = ctx.saved_tensors
            times = len(one_minus) // max(len(loc), 1)
            drawn = Drawn(Cosines(one_minus, one_plus), direction, ctx.family.derivative)
            rows = loc.repeat(times, 1), concentration.repeat(times)
            gradients = twice_differentiable(gradients, grads[0], (loc, concentration), rows, drawn)
        return *gradients, None, None


def _place(loc: Tensor, cosines: Cosines, direction: Tensor, x: Tensor) -> None:
    """Fill in the samples, and bring the tangent directions to length 1."""
    from sxvae.kernels.placement import place

    rows, noise, samples = loc.contiguous().numpy(), direction.numpy(), x.numpy()
    one_minus_cosine, one_plus_cosine = (each.numpy() for each in cosines)

    def task(block: slice) -> None:
        place(
            rows,
            block.start,
            one_minus_cosine[block],
            one_plus_cosine[block],
            noise[block],
            samples[block],
        )

    in_blocks(len(x), max(1, _NUMBERS // x.shape[-1]), task)


def _differentiate(
    family: Family,
    grad: Tensor,
    loc: Tensor,
    concentration: Tensor,
    one_minus_cosine: Tensor,
    one_plus_cosine: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients with respect to loc and concentration."""
    from sxvae.kernels.gradients import differentiate

    by_loc = torch.zeros(loc.shape, dtype=torch.float64)
    by_concentration = torch.zeros(concentration.shape, dtype=torch.float64)
    log_singular = family.log_singular
    dtype = derivative_type(concentration, loc.shape[-1], log_singular=log_singular)
    nodes, weights, depth = quadrature(dtype, log_singular)
    rows, k, mean = (
        each.contiguous().numpy() for each in (loc, concentration, family.mean().reshape(-1))
    )
    samples = [
        each.contiguous().numpy() for each in (grad, one_minus_cosine, one_plus_cosine, direction)
    ]

    def task(block: slice) -> None:
        differentiate(
            family.number,
            block.start,
            *(each[block] for each in samples),
            rows,
            k,
            mean,
            nodes,
            weights,
            depth,
            by_loc.numpy(),
            by_concentration.numpy(),
        )

    # With several samples a row, blocks would add to the same rows at the same time.
    count = len(grad)
    in_blocks(count, _ROWS if count == len(loc) else count, task)
    return by_loc.to(loc.dtype), by_concentration.to(concentration.dtype)
