"""Means, KLs and entropies of the spherical Cauchy distribution in many digits.

They come from the literature's formulas in r, for the density ((1 - r^2) / (1 + r^2 - 2 r t))^m: a
power series in r^2, or, where it converges slowly and m is small, a recurrence over m from closed
forms on the circle and on S^2. sxvae computes by quadrature instead.
"""

from __future__ import annotations

from typing import NamedTuple

import mpmath

from benchmarks.reference import DIGITS, Exact, Number, log_area, with_entropy

# From this m on the series ends soon even at r = 1, where its terms fall with the power -m - 1.
_SERIES_DIM = 60
# The recurrence starts with so many digits more, which it loses where r^2 is near 1/2.
_GUARD = 60


class _Parts(NamedTuple):
    """g = E log(1 + r^2 + 2 r u) for the cosine u of a uniform direction, and dg/d(r^2)."""

    value: Number
    slope: Number


def _by_series(dim: Number, square: Number) -> _Parts:
    """g = -sum of (-l)_n / (n (l+1)_n) r^(2n), l = (m-1)/2."""
    order, coefficient, power = (dim - 1) / 2, mpmath.mpf(1), mpmath.mpf(1)
    value = slope = mpmath.mpf(0)
    for n in range(1, 1_000_000):
        coefficient *= (n - 1 - order) / (order + n)
        slope -= coefficient * power
        power *= square
        value -= coefficient * power / n
        if abs(coefficient * power) <= mpmath.eps * abs(value):
            return _Parts(value, slope)
    raise ArithmeticError(f"the series did not converge at m = {dim}, r^2 = {square}")


def _by_recurrence(dim: int, square: Number) -> _Parts:
    """g of m and m + 2 differ by (I - 1) / (m + 1), I = E 1 / (1 + c u), c = 2 r / (1 + r^2)."""
    c_square = 4 * square / (1 + square) ** 2
    c, rest = mpmath.sqrt(c_square), ((1 - square) / (1 + square)) ** 2  # rest is 1 - c^2
    if dim % 2:
        m, value, inverse = 1, mpmath.mpf(0), 1 / mpmath.sqrt(rest)
    else:
        ends = [(1 + sign * c) * mpmath.log(1 + sign * c) for sign in (1, -1)]
        value = mpmath.log(1 + square) + (ends[0] - ends[1]) / (2 * c) - 1
        m, inverse = 2, mpmath.atanh(c) / c
    while m < dim:
        inverse = (m + 1) / (m * c_square) * (1 - rest * inverse)
        value += (inverse - 1) / (m + 1)
        m += 2
    # (1 - r^2) / (1 + r^2) E 1 / (1 + c u) is 1 - 2 r^2 dg/d(r^2).
    slope = (1 - inverse * (1 - square) / (1 + square)) / (2 * square)
    return _Parts(value, slope)


def _parts(dim: int, square: Number) -> _Parts:
    if dim >= _SERIES_DIM or square <= 0.5:
        return _by_series(mpmath.mpf(dim), square)
    return _by_recurrence(dim, square)


def _radius(dim: int, concentration: Number) -> Number:
    """The r with k = 2 m r / (1 - r)^2."""
    a = 1 + dim / concentration
    return 1 / (a + mpmath.sqrt(a**2 - 1))


def _kl_at(dim: int, square: Number) -> Number:
    return dim * (_parts(dim, square).value - mpmath.log(1 - square))


def _mean(dim: int, concentration: Number) -> Number:
    r = _radius(dim, concentration)
    return r * (1 + (1 - r**2) * _parts(dim, r**2).slope)


def spherical_cauchy(ambient: int, concentration: float) -> Exact:
    dim, p = ambient - 1, mpmath.mpf(ambient)
    with mpmath.workdps(DIGITS + _GUARD):
        k = mpmath.mpf(concentration)
        r, mean = _radius(dim, k), _mean(dim, k)
        at_mode = dim * mpmath.log((1 + r) / (1 - r)) - log_area(p)
        # d/dk of the log-density at the mode is m / (m + 2 k), and that of the KL E[t] times it.
        slope = dim / (dim + 2 * k)
        mean_slope = mpmath.diff(lambda k: _mean(dim, k), k)
        slopes = (slope, mean_slope, mean * slope)
        return with_entropy(log_area(p), at_mode, _kl_at(dim, r**2), slopes, mean)


def kl_between_spherical_cauchy(
    ambient: int, ours: float, theirs: float, one_minus_cosine: float
) -> Number:
    """The KL to the uniform at psi, the difference of the two parameters by Moebius addition."""
    dim = ambient - 1
    with mpmath.workdps(DIGITS + _GUARD):
        r, other = _radius(dim, mpmath.mpf(ours)), _radius(dim, mpmath.mpf(theirs))
        inner = r * other * (1 - mpmath.mpf(one_minus_cosine))
        distance = r**2 + other**2 - 2 * inner
        return _kl_at(dim, distance / (1 - 2 * inner + r**2 * other**2))
