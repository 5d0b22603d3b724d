"""Samples by operations that torch.func, forward mode and traces can see through.

Drawing cosines is one operation of its own (`operations`). What follows, unlike in `eager`, is left
to autograd. So a sample has derivatives
of every order with respect to its mean direction, and first ones with respect to k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions
from sxvae.distributions.known_derivatives import (
    with_derivatives_of,
    with_derivatives_of_all,
    without_derivatives,
)
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.operations import draw_cosines
from sxvae.distributions.transforms import is_transforming

# From concentrations and cosines to d(1 - t)/dk at fixed probability, all of the same shape.
CosineDerivative = Callable[[Tensor, Cosines], Tensor]

_SEEDS = 2**62


def draw(loc: Tensor, concentration: Tensor, family: str, derivative: CosineDerivative) -> Tensor:
    """Samples, shape (..., p).

    Args:
        loc: unit vectors, shape (..., p).
        concentration: k, shape (...).
        family: its name in `operations.FAMILIES`.
        derivative: how the cosines change with k.
    """
    seed = torch.randint(_SEEDS, (), device=loc.device)
    ambient = loc.shape[-1]

    def drawn(k: Tensor, seed: Tensor) -> Tensor:
        cosines: Tensor = draw_cosines(k[0].detach(), seed, family, ambient)
        return cosines

    def slopes(k: Tensor, seed: Tensor) -> tuple[Tensor | None, ...]:
        return _opposite(k, Cosines(*drawn(k, seed)), derivative), None

    twice = concentration.expand(2, *concentration.shape)
    cosines = Cosines(*with_derivatives_of_all(drawn, slopes, twice, seed))
    return assemble(loc, cosines, _tangents(loc))


class Drawn(NamedTuple):
    """What was drawn for samples, and is not a function of their parameters.

    Attributes:
        cosines: shape (...).
        tangent: as `assemble` takes it, shape (..., p - 1).
        derivative: how the cosines change with k.
    """

    cosines: Cosines
    tangent: Tensor
    derivative: CosineDerivative


def twice_differentiable(
    gradients: tuple[Tensor | None, ...],
    grad: Tensor,
    parameters: tuple[Tensor, Tensor],
    rows: tuple[Tensor, Tensor],
    drawn: Drawn,
) -> tuple[Tensor | None, ...]:
    """Gradients of samples as functions of the parameters and of the samples' own gradient.

    Args:
        gradients: with respect to `parameters`, as they were computed.
        grad: with respect to the samples, shape (..., p).
        parameters: mean directions and concentrations.
        rows: those of each sample, made from `parameters`: shapes (..., p) and (...).
        drawn: for the samples.
    """
    loc, concentration = rows

    def cosines(k: Tensor) -> Tensor:
        return torch.stack(drawn.cosines)

    def slopes(k: Tensor) -> tuple[Tensor]:
        return (_opposite(k, drawn.cosines, drawn.derivative),)

    twice = concentration.expand(2, *concentration.shape)
    known = Cosines(*with_derivatives_of_all(cosines, slopes, twice))
    x = assemble(loc, known, drawn.tangent)
    wanted = [each for each in parameters if each.requires_grad]
    found = iter(torch.autograd.grad(x, wanted, grad, create_graph=True))
    if is_transforming():  # torch.func.vmap over gradients
        return tuple(next(found) if each.requires_grad else None for each in parameters)
    return tuple(
        # The very same numbers, differentiated as those of autograd.
        _same(gradient, next(found)) if parameter.requires_grad and gradient is not None else None
        for gradient, parameter in zip(gradients, parameters, strict=True)
    )


def _same(number: Tensor, stand_in: Tensor) -> Tensor:
    return with_derivatives_of(lambda: number, stand_in=stand_in)


def assemble(loc: Tensor, cosines: Cosines, tangent: Tensor) -> Tensor:
    """The samples with these cosines, placed as in `eager`, differentiable in all arguments.

    Args:
        loc: unit vectors, shape (..., p).
        cosines: shape (...).
        tangent: unit vectors of the tangent space at the pole, without its coordinate there, shape
            (..., p - 1).
    """
    one_minus, one_plus = (each.unsqueeze(-1) for each in cosines)
    cosine, sine = (1 - one_minus).to(loc.dtype), (one_minus * one_plus).sqrt().to(loc.dtype)
    first, rest = loc[..., :1], loc[..., 1:]
    sign = torch.copysign(torch.ones_like(first), first.detach())
    shrink = 1 / (1 + sign * first)
    moved = sine * (rest * tangent).sum(dim=-1, keepdim=True)
    along = cosine - moved * shrink
    return torch.cat([along * first - moved * shrink * sign, along * rest + sine * tangent], dim=-1)


def _opposite(k: Tensor, cosines: Cosines, derivative: CosineDerivative) -> Tensor:
    """The derivatives of 1 - t and 1 + t by k, shape (2, ...) like `k`."""
    slope = without_derivatives(lambda k, *pair: derivative(k, Cosines(*pair)), k[0], *cosines)
    return torch.stack([slope, -slope])


def _tangents(loc: Tensor) -> Tensor:
    shape = (*loc.shape[:-1], loc.shape[-1] - 1)
    return uniform_directions(shape, dtype=loc.dtype, device=loc.device)
