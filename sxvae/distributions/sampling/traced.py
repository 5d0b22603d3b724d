"""Samples by operations that torch.func, forward mode and traces can see through.

Cosines are drawn by a rejection sampler, whose course depends on the numbers drawn, so that is one
operation of its own, `sxvae::draw_cosines`: the same cosines for the same seed, and a rule for
`torch.func.vmap`. What follows, unlike in `eager`, is left to autograd. So a sample has derivatives
of every order with respect to its mean direction, and first ones with respect to k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions
from sxvae.distributions.known_derivatives import (
    with_derivatives_of,
    with_derivatives_of_all,
    without_derivatives,
)
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.transforms import is_transforming

# From concentrations and cosines to d(1 - t)/dk at fixed probability, all of the same shape.
CosineDerivative = Callable[[Tensor, Cosines], Tensor]

# For each family's name: from the ambient dimension to what draws cosines for concentrations.
SAMPLERS: dict[str, Callable[[int], Callable[[Tensor], Cosines]]] = {}

_SEEDS = 2**62


def draw(loc: Tensor, concentration: Tensor, family: str, derivative: CosineDerivative) -> Tensor:
    """Samples, shape (..., p).

    Args:
        loc: unit vectors, shape (..., p).
        concentration: k, shape (...).
        family: its name in `SAMPLERS`.
        derivative: how the cosines change with k.
    """
    seed = torch.randint(_SEEDS, (), device=loc.device)
    ambient = loc.shape[-1]

    def drawn(k: Tensor, seed: Tensor) -> Tensor:
        return _draw_cosines(k[0].detach(), seed, family, ambient)

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


@torch.library.custom_op("sxvae::draw_cosines", mutates_args=())
def _draw_cosines(concentration: Tensor, seed: Tensor, family: str, ambient: int) -> Tensor:
    device = concentration.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(int(seed))
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(seed))
        return torch.stack(SAMPLERS[family](ambient)(concentration.contiguous()))


@_draw_cosines.register_fake
def _shape(concentration: Tensor, seed: Tensor, family: str, ambient: int) -> Tensor:
    return concentration.new_empty((2, *concentration.shape), dtype=torch.float64)


@_draw_cosines.register_vmap
def _draw_for_each(
    info: Any,  # noqa: ANN401 (it has no public type)
    in_dims: tuple[int | None, ...],
    concentration: Tensor,
    seed: Tensor,
    family: str,
    ambient: int,
) -> tuple[Tensor, int]:
    """One seed for all gives each entry what it would draw alone; one for each, other draws."""
    dim, seed_dim = in_dims[:2]
    if dim is None:
        entries = concentration.expand(info.batch_size, *concentration.shape)
    else:
        entries = concentration.movedim(dim, 0)
    if seed_dim is None:
        drawn = [_draw_cosines(each, seed, family, ambient) for each in entries]
        return torch.stack(drawn, dim=1), 1
    return _draw_cosines(entries, seed.movedim(seed_dim, 0)[0], family, ambient), 1
