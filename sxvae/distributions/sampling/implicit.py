"""Implicit pathwise derivatives of the angle between a sample and its mean direction [5].

Let y = 1 - <loc, x> in [0, 2] have a density f that is proportional to exp(k s(y)) for a statistic
s, times powers of y and 2 - y. At fixed probability a sample moves by dy/dk = -(1/f) times the
integral of (s - E[s]) f from 0 to y. The integral over the other side is the opposite one, so it is
taken over the side on which s - E[s] keeps its sign: nothing cancels.

With d the distance from the sample to that side's end, the variable of integration is r in d r^2:
this takes the power of f at the end away, which is singular for p = 2. Then u = 1 - r^2 is 0 at the
sample, and the density over the sample's own is

    exp(first log(1 - u) + second log(1 + ratio u) + rate u),   ratio = d / (2 - d).

Where that is below exp(-depth) the integrand is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.distributions.constants import cached_constant
from sxvae.distributions.special.quadrature import gauss_legendre

# Nodes, depth and Newton steps that leave 1e-8 in float64 and 1e-6 in float32.
_NODES = {torch.float64: 20, torch.float32: 16}
_SINGULAR_NODES = 32
_DEPTHS = {torch.float64: 26.0, torch.float32: 17.0}
# Rows that are done at a time, so that what belongs to their nodes stays in the cache.
_ROWS = 2_048
_NO_FALL = 1e-30
# Up to this p in float32 the terms of the exponent are small enough for an error of 1e-6.
_LARGEST_SINGLE = 16


class Side(NamedTuple):
    """The side of each sample that is integrated over; tensors of shape (n,), or numbers.

    Attributes:
        ratio: the distance to the side's end over that to the other end.
        first: the density's exponent at the side's end.
        second: that at the other end.
        rate: of u in the logarithm.
    """

    ratio: Tensor
    first: Tensor | float
    second: Tensor | float
    rate: Tensor | float


# From u at the nodes, shape (n, nodes), to the log-density over the sample's own and |s - E[s]|.
Integrand = Callable[[Tensor], tuple[Tensor, Tensor]]


def derivative_type(
    concentration: Tensor, ambient: int, *, log_singular: bool = False
) -> torch.dtype:
    """The type to compute a derivative in, for concentrations of the user's type."""
    single = concentration.dtype == torch.float32 and 2 < ambient <= _LARGEST_SINGLE
    return torch.float32 if single and not log_singular else torch.float64


def in_blocks(derivative: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """`derivative` of tensors of shape (n,), some rows at a time."""
    if len(arguments[0]) <= _ROWS:
        return derivative(*arguments)
    blocks = zip(*(each.split(_ROWS) for each in arguments), strict=True)
    return torch.cat([derivative(*block) for block in blocks])


def integral_over_side(side: Side, integrand: Integrand, *, log_singular: bool = False) -> Tensor:
    """The integral of |s - E[s]| f / f(sample) over the side, divided by 2 d, shape (n,).

    Args:
        side: which one.
        integrand: what is integrated.
        log_singular: whether s is infinite at an end.
    """
    ratio = side.ratio
    width = _width(side)
    nodes, weights = _on_device(ratio.dtype, log_singular, ratio.device)
    inward = width.unsqueeze(-1) * nodes  # 1 - r
    log_density, deviation = integrand(inward * (2 - inward))
    values = log_density.exp_().mul_(deviation).mul_(inward.neg_().add_(1))
    return width * (values @ weights)


def _width(side: Side) -> Tensor:
    """How far below 1 r has to go: one Newton step from the parabola of the log-density at u = 0.

    For p >= 3 the logarithm is concave, so the step ends beyond the root.
    """
    ratio, first, second, rate = side
    depth = _DEPTHS[ratio.dtype]
    power, scaled = first + 0.5, second * ratio
    slope = power - scaled - rate
    curvature = (scaled * ratio + power).clamp_min(0)
    u = 2 * depth / torch.addcmul(2 * depth * curvature, slope, slope).sqrt_().add_(slope)
    u = u.clamp_(0, 1 - torch.finfo(ratio.dtype).eps)
    beyond = ratio * u
    drop = power * torch.log1p(-u) + second * torch.log1p(beyond) + rate * u + depth
    fall = power / (1 - u) - scaled / (1 + beyond) - rate
    # Where the density does not fall, all of the side counts.
    u = u.add_(drop.div_(fall.clamp_min(_NO_FALL))).clamp_(max=1)
    return u / (1 - u).sqrt_().add_(1)


@cached_constant
def quadrature(
    dtype: torch.dtype, log_singular: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Nodes and weights on [0, 1], from the sample to the end, and the depth for a type.

    Args:
        dtype: what the result is to be good for.
        log_singular: whether the statistic is infinite at the end.
    """
    count = _SINGULAR_NODES if log_singular else _NODES[dtype]
    nodes, weights = (each.numpy() for each in gauss_legendre(count, torch.device("cpu")))
    if log_singular:  # dense at both ends
        graded = nodes**3 * (10 - 15 * nodes + 6 * nodes**2)
        return graded, 30 * (nodes * (1 - nodes)) ** 2 * weights, _DEPTHS[dtype]
    return nodes**2, 2 * nodes * weights, _DEPTHS[dtype]


@cached_constant
def _on_device(
    dtype: torch.dtype, log_singular: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    nodes, weights, _ = quadrature(dtype, log_singular)
    return (
        torch.tensor(nodes, dtype=dtype, device=device),
        torch.tensor(weights, dtype=dtype, device=device),
    )
