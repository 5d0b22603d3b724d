"""Debye's uniform asymptotic expansion of modified Bessel functions [6; DLMF 10.41].

At an order n of 16 or more, its 21 terms give I_n(x) and the ratio I_{n+1}(x) / I_n(x) to machine
precision for every argument x, so that nothing here depends on the data.

The expansion is in powers of 1/n, and its coefficients are polynomials u_k(t) in t = n / s, where
s = sqrt(n^2 + x^2).
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

LOWEST_ORDER = 16.0
_TERMS = 21
_DEGREE = 64  # of the sum of the terms as a polynomial in t: 3 * 21, rounded up to a square number
_SUMS = 6  # u, w, Du, Dw, DDu and DDw, in this order
_CONSTANTS = (1.0, 0.5)  # the share of u_0 = 1 in u and w; it has none in the other sums
# Up to this many elements all powers of t are multiplied at once; of more, in groups of powers.
_GROUPED = 4096


def _debye_coefficients() -> list[list[float]]:
    """The coefficients of Debye's polynomials u_1, u_2, ... (DLMF 10.41.9), of t^1 to t^64.

    u_k is t^k times a polynomial of degree k in t^2; u_0 = 1.
    """
    u = [Fraction(1)]  # u[i] is the coefficient of t^(k + 2 i) in u_k
    rows = []
    for k in range(_TERMS):
        following = [Fraction(0)] * (k + 2)
        for i, c in enumerate(u):
            power = k + 2 * i
            following[i] += c * Fraction(power, 2) + c * Fraction(1, 8 * (power + 1))
            following[i + 1] -= c * Fraction(power, 2) + c * Fraction(5, 8 * (power + 3))
        u = following
        row = [0.0] * _DEGREE
        row[k : 3 * k + 3 : 2] = map(float, u)
        rows.append(row)
    return rows


def _coefficient_table() -> list[list[float]]:
    """One row for each u_k: the coefficients of t^1 to t^64 that it adds to each of the six sums.

    With w = u / 2 + t u' and the operator D = -s d/ds at a fixed order, which is t d/dt, the sums
    are u, w, Du, Dw, DDu and DDw.
    """
    powers = range(1, _DEGREE + 1)
    factors = [
        power**times * (power + 0.5 if shifted else 1)
        for times in range(_SUMS // 2)
        for shifted in (False, True)
        for power in powers
    ]
    return [
        [c * factor for c, factor in zip(row * _SUMS, factors, strict=True)]
        for row in _debye_coefficients()
    ]


_ROWS = _coefficient_table()
_AT_ZERO = [sum(row[:_DEGREE]) for row in _ROWS]  # u_1, u_2, ... at t = 1
with torch.inference_mode(False):  # whatever mode this is imported in
    _TABLE = torch.tensor(_ROWS, dtype=torch.float64)
    _EXPONENTS = -torch.arange(1, _TERMS + 1, dtype=torch.float64)


def debye_sums(order: float, t: Tensor, count: int) -> tuple[Tensor, ...]:
    """The first `count` of the sums u, w, Du, Dw, DDu and DDw at t = n / s, each of t's shape.

    One matrix product evaluates them all from the powers of t. For many elements, 64 powers take
    too much memory: the matrix product then evaluates polynomials of degree 8, and Horner's rule in
    t^8 joins them.
    """
    # These small constants are copied to the device at each call: torch.compile can trace this, but
    # not a cache.
    table, exponents = (constant.to(t.device) for constant in (_TABLE, _EXPONENTS))
    width = _DEGREE if t.numel() < _GROUPED else math.isqrt(_DEGREE)
    coefficients = (order**exponents @ table[:, : count * _DEGREE]).view(count, -1, width)
    powers = t.expand(width, *t.shape).cumprod(0)
    parts = coefficients.transpose(0, 1).reshape(-1, width) @ powers.reshape(width, t.numel())
    *lower, total = parts.view(_DEGREE // width, count, *t.shape).unbind()
    for part in reversed(lower):
        total = torch.addcmul(part, total, powers[-1])
    sums = total.unbind()
    for each, constant in zip(sums, _CONSTANTS, strict=False):
        each.add_(constant)
    return sums


def log_sum_at_zero(order: float) -> float:
    """Log of Debye's sum u at x = 0, where t = 1."""
    return math.log1p(sum(u / order**k for k, u in enumerate(_AT_ZERO, start=1)))


class Debye:
    """The ratio A = I_{n+1}(x) / I_n(x) and its derivatives at an order n >= 16.

    A / x = (I_n'/I_n - n/x) / x = 1 / (s + n) - g / s^2, where g = w / u. The leading terms of
    I_n'/I_n and n/x are subtracted on paper, here and in the derivatives, because they cancel.

    Args:
        order: n.
        x: argument, float64, any shape.
        sums: how many of the expansion's sums to evaluate: 4, or 6 for `second_derivative`.

    Attributes:
        root: s.
        inverse: 1 / s.
        correction: g / s^2.
    """

    def __init__(self, order: float, x: Tensor, *, sums: int = 4) -> None:
        self.order, self.x = order, x
        self.root = torch.sqrt(order * order + x * x)
        self.inverse = 1 / self.root
        self._sums = debye_sums(order, order * self.inverse, sums)
        u, w, du, dw = self._sums[:4]
        self._g = w / u
        self._g_step = (dw - self._g * du) / u
        self._inverse_square = self.inverse * self.inverse
        self.correction = self._inverse_square * self._g
        self._correction_step = self._inverse_square * (2 * self._g + self._g_step)

    def log_sum(self) -> Tensor:
        """Log of the expansion's sum u."""
        return self._sums[0].log()

    def ratio_over_x(self) -> Tensor:
        """A / x."""
        return 1 / (self.root + self.order) - self.correction

    def complement(self) -> Tensor:
        """1 - A."""
        n, s, x = self.order, self.root, self.x
        return (n + n * n / (s + x)) / (s + n) + x * self.correction

    def derivative(self) -> Tensor:
        """A'."""
        main = self.order * self.inverse / (self.root + self.order)
        return main - self.correction + (self.x * self.inverse) ** 2 * self._correction_step

    def ratio_over_x_slope(self) -> Tensor:
        """d(A / x)/dx."""
        return (
            self.x
            * self.inverse
            * (self._correction_step * self.inverse - (self.root + self.order) ** -2)
        )

    def second_derivative(self) -> Tensor:
        """A''; needs 6 sums."""
        n, s, x = self.order, self.root, self.x
        u, _, du, _, ddu, ddw = self._sums
        g_step_twice = (ddw - 2 * self._g_step * du - self._g * ddu) / u
        correction_step_twice = self._inverse_square * (4 * (self._g + self._g_step) + g_step_twice)
        return (
            -n * (2 * s + n) * x / (s**3 * (s + n) ** 2)
            + 3 * x * self._correction_step / s**2
            - x**3 * (correction_step_twice + 2 * self._correction_step) / s**4
        )
