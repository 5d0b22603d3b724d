"""Implicit pathwise derivatives of the cosine between a sample and its mean direction [5].

Let y = 1 - <loc, x> in [0, 2] have a density f proportional to exp(k s(y)), for a statistic s,
times powers of y and 2 - y. At fixed probability a sample moves by

    dy/dk = -(1/f(y)) times the integral of (s - E[s]) f from 0 to y.

The integral from y to 2 is the negative of this. So that nothing cancels, the integral is taken
over the side of the sample on which s - E[s] does not change its sign.

Let d be the distance from the sample to that side's end, and d r^2 the distance of another point of
that side to the end, r from 0 to 1. Integrating over r removes the power of f at the end, which is
a singularity for p = 2. With u = 1 - r^2, which is 0 at the sample, the density is the sample's own
density times

    exp(first log(1 - u) + second log(1 + ratio u) + rate u),   ratio = d / (2 - d).

The part of the side where this factor is below exp(-depth) is left out.
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

# With these nodes and depths the errors are 1e-8 in float64 and 1e-6 in float32.
_NODES = {torch.float64: 20, torch.float32: 16}
_SINGULAR_NODES = 32
_DEPTHS = {torch.float64: 26.0, torch.float32: 17.0}
# Rows in a chunk, so that the numbers at their nodes stay in the cache.
_ROWS = 2_048
_NO_FALL = 1e-30
# Up to this p the exponent's terms are small enough that float32 leaves an error of 1e-6.
_LARGEST_SINGLE = 16


class Side(NamedTuple):
    """The side of each sample that is integrated over: tensors of shape (n,), or numbers.

    Attributes:
        ratio: the sample's distance to the side's end over its distance to the other end.
        first: the power of the distance to the side's end in the density.
        second: the power of the distance to the other end.
        rate: the factor of u in the log-density.
    """

    ratio: Tensor
    first: Tensor | float
    second: Tensor | float
    rate: Tensor | float


# From u at the nodes, shape (n, nodes), to the logarithm of the density over the sample's density,
# and to |s - E[s]|.
Integrand = Callable[[Tensor], tuple[Tensor, Tensor]]


def derivative_type(
    concentration: Tensor, ambient: int, *, log_singular: bool = False
) -> torch.dtype:
    """The type that derivatives are computed in, for concentrations of the user's type.

    It is float32 where that is accurate enough for float32 concentrations.
    """
    single = concentration.dtype == torch.float32 and 2 < ambient <= _LARGEST_SINGLE
    return torch.float32 if single and not log_singular else torch.float64


def apply_to_row_chunks(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """`function(*arguments)` for tensors of shape (n,), one chunk of rows after the other."""
    if len(arguments[0]) <= _ROWS:
        return function(*arguments)
    chunks = zip(*(each.split(_ROWS) for each in arguments), strict=True)
    return torch.cat([function(*chunk) for chunk in chunks])


def integral_over_side(side: Side, integrand: Integrand, *, log_singular: bool = False) -> Tensor:
    """The integral of |s - E[s]| f / f(sample) over the side, divided by 2 d, shape (n,).

    Args:
        side: of each sample.
        integrand: the function that gives the density and |s - E[s]|.
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
    """1 - r where the density has fallen to exp(-depth) of the sample's, shape (n,), at most 1.

    One Newton step finds it, from the root of the log-density's parabola at u = 0. For p >= 3 the
    log-density is concave, so that the step can only end beyond the root.
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
    # Where the density does not fall, the whole side is needed.
    u = u.add_(drop.div_(fall.clamp_min(_NO_FALL))).clamp_(max=1)
    return u / (1 - u).sqrt_().add_(1)


@cached_constant
def quadrature(
    dtype: torch.dtype, log_singular: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Nodes and weights on [0, 1], from the sample to the side's end, and the depth.

    Args:
        dtype: the type whose accuracy the result needs.
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
