"""The maximum-likelihood parameters of a power spherical distribution.

The log-likelihood of n unit vectors is k S(loc) - n L(k), S the sum of log((1 + <loc, x>) / 2):
for every k > 0 the best loc is the one of the largest S, and k then solves L'(k) = S / n.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sxvae.distributions.special.gamma_differences import digamma_difference, trigamma_difference

_Array = npt.NDArray[np.float64]
_NEWTON_STEPS = 20
# Below this norm a mean of unit vectors has no direction.
_VANISHING = 1e-9
_GRADIENT_TOLERANCE = 1e-11
# The least 1 + t, so that everything stays finite opposite to a point.
_SMALLEST = 1e-12
# Where there may be several maxima: how many directions are tried, how many further ones between
# neighbours on a circle, and how many of the best are starts of the Newton method.
_CANDIDATES, _CIRCLE_CANDIDATES = 64, 512
_STARTS, _CIRCLE_STARTS = 3, 16


class _MeanStatistic:
    """-S / n of one set of vectors as a function of u, loc = u / |u|, with its derivatives."""

    def __init__(self, points: _Array) -> None:
        self._points = points / np.linalg.norm(points, axis=1, keepdims=True)

    def value(self, u: _Array) -> float:
        loc = u / np.linalg.norm(u)
        # (1 + t) / 2 = 1 - |x - loc|^2 / 4, which keeps its digits where t is near 1.
        distance = ((self._points - loc) ** 2).sum(axis=1) / 4
        return float(-np.log1p(-np.minimum(distance, 1 - _SMALLEST / 2)).mean())

    def gradient(self, u: _Array) -> _Array:
        norm = float(np.linalg.norm(u))
        return self._tangent(u / norm)[0] / norm

    def hessian_times(self, u: _Array, vector: _Array) -> _Array:
        norm = float(np.linalg.norm(u))
        loc = u / norm
        tangent, radial, one_plus = self._tangent(loc)
        across = vector - loc * (loc @ vector)
        products = self._points @ across / one_plus**2
        curved = (self._points * products[:, None]).mean(axis=0)
        curved -= loc * (loc @ curved)
        product: _Array = (
            curved - radial * across - tangent * (loc @ vector) - loc * (tangent @ vector)
        ) / norm**2
        return product

    def _tangent(self, loc: _Array) -> tuple[_Array, float, _Array]:
        """The gradient orthogonal to loc, its component along loc, and each vector's 1 + t."""
        one_plus = np.maximum(1 + self._points @ loc, _SMALLEST)
        gradient = -(self._points / one_plus[:, None]).mean(axis=0)
        radial = float(loc @ gradient)
        return gradient - radial * loc, radial, one_plus


def best_direction(points: _Array) -> tuple[_Array, float]:
    """The loc of the largest S, by a trust-region Newton method from good starts, and S/n.

    Args:
        points: unit vectors, shape (n, p).
    """
    statistic = _MeanStatistic(points)
    found = [_minimise(statistic, start) for start in _starts(points, statistic)]
    best = min(found, key=lambda result: float(result.fun))
    return best.x / np.linalg.norm(best.x), -float(best.fun)


def _minimise(statistic: _MeanStatistic, start: _Array) -> Any:  # noqa: ANN401 (SciPy's result)
    """The minimum of -S/n near `start`, as closely as rounding allows."""
    import scipy.optimize  # imported here, because it takes half a second

    return scipy.optimize.minimize(
        statistic.value,
        start,
        jac=statistic.gradient,
        hessp=statistic.hessian_times,
        method="trust-ncg",
        options={"gtol": _GRADIENT_TOLERANCE, "maxiter": 200},
    )


def _starts(points: _Array, statistic: _MeanStatistic) -> list[_Array]:
    """The mean direction if all points are on its side of the sphere, else several directions.

    S is -inf opposite to each point. On the circle it therefore has a maximum between any two
    neighbours of these opposite points.
    """
    mean = points.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length > _VANISHING and (points @ mean > 0).all():
        return [mean / length]
    generator = np.random.default_rng(0)
    candidates = [generator.standard_normal((_CANDIDATES, points.shape[1]))]
    candidates.append(points[:: max(1, len(points) // _CANDIDATES)])
    if length > _VANISHING:
        candidates.append(mean[np.newaxis])
    if points.shape[1] == 2:
        angles = np.sort(np.arctan2(-points[:, 1], -points[:, 0]))
        between = (angles + np.append(angles[1:], angles[0] + 2 * np.pi)) / 2
        between = between[:: max(1, len(between) // _CIRCLE_CANDIDATES)]
        candidates.append(np.stack([np.cos(between), np.sin(between)], axis=1))
    directions = np.concatenate(candidates)
    values = np.array([statistic.value(direction) for direction in directions])
    starts = _CIRCLE_STARTS if points.shape[1] == 2 else _STARTS
    return list(directions[np.argsort(values)[:starts]])


def best_concentration(mean_statistic: Tensor, ambient: int) -> Tensor:
    """The k >= 0 with L'(k) = S/n: Newton's method on 1 / L', which is almost linear in k.

    Args:
        mean_statistic: S/n < 0, float64, any shape.
        ambient: p.
    """
    half = (ambient - 1) / 2
    k = torch.zeros_like(mean_statistic)
    for _ in range(_NEWTON_STEPS):
        slope = digamma_difference(k + half, half)
        reciprocal_slope = -trigamma_difference(k + half, half) / slope**2
        k = (k - (1 / mean_statistic + 1 / slope) / reciprocal_slope).clamp_min(0)
    return k
