"""Modified Bessel functions of the first kind for every order and argument, in PyTorch.

One formula serves every order: Debye's uniform asymptotic expansion [6; DLMF 10.41] where the order
is at least 24, then, for a lower one, as many steps of the backward recurrence of the ratios as lie
between. Twelve terms of the expansion give machine precision from order 24 on for every argument,
so nothing here branches on the data, underflows or overflows.

All arithmetic is in float64 whatever the input's type; the result has the input's type.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_LOWEST_DEBYE_ORDER = 24.0
_DEBYE_TERMS = 12


def _debye_coefficients() -> tuple[list[list[float]], list[list[float]]]:
    """The coefficients of Debye's polynomials u_k, and those of w_k = u_k / 2 + t u_k'.

    Both are t^k times a polynomial in t^2 (DLMF 10.41.9); row k holds the latter's coefficients.
    """
    u = [Fraction(1)]  # u[i] is the coefficient of t^(k + 2 i) in u_k
    u_rows, w_rows = [], []
    for k in range(_DEBYE_TERMS + 1):
        u_rows.append([float(c) for c in u])
        w_rows.append([float(c * (Fraction(1, 2) + k + 2 * i)) for i, c in enumerate(u)])
        following = [Fraction(0)] * (k + 2)
        for i, c in enumerate(u):
            power = k + 2 * i
            following[i] += c * Fraction(power, 2) + c * Fraction(1, 8 * (power + 1))
            following[i + 1] -= c * Fraction(power, 2) + c * Fraction(5, 8 * (power + 3))
        u = following
    return u_rows, w_rows


def _times_powers(rows: list[list[float]]) -> list[list[float]]:
    """The rows of -s d/ds of the sum that `rows` stands for: s^-(k + 2 i) times its exponent."""
    return [[c * (k + 2 * i) for i, c in enumerate(row)] for k, row in enumerate(rows)]


_TERMS = _DEBYE_TERMS + 1


def _coefficient_table() -> list[list[float]]:
    """For each power of 1/s a row: the coefficients in t^2 of u, w, and of -s du/ds, -s dw/ds."""
    u_rows, w_rows = _debye_coefficients()
    sums = (u_rows, w_rows, _times_powers(u_rows), _times_powers(w_rows))
    return [
        [c for rows in sums for c in (*rows[k], *[0.0] * (_TERMS - 1 - k))] for k in range(_TERMS)
    ]


_TABLE = _coefficient_table()


@functools.lru_cache(maxsize=8)
def _table_on(device: torch.device) -> tuple[Tensor, Tensor]:
    """The coefficients and the exponents 0..n, as tensors."""
    table = torch.tensor(_TABLE, dtype=torch.float64, device=device)
    return table, torch.arange(_TERMS, dtype=torch.float64, device=device)


def _debye_sums(t_squared: Tensor, inverse: Tensor) -> tuple[Tensor, ...]:
    """The four sums over inverse^k t_squared^i, in a few large operations."""
    table, exponents = _table_on(inverse.device)
    in_inverse = inverse.unsqueeze(-1) ** exponents
    in_t_squared = t_squared.unsqueeze(-1) ** exponents
    rows = (in_inverse @ table).unflatten(-1, (4, _TERMS))
    sums: tuple[Tensor, ...] = (rows @ in_t_squared.unsqueeze(-1)).squeeze(-1).unbind(-1)
    return sums


class BesselTerms(NamedTuple):
    """I_v(x), and its ratio A = I_{v+1}(x) / I_v(x), in forms that neither cancel nor overflow.

    Attributes:
        log_reduced: log(e^-x x^-v I_v(x)).
        ratio_over_x: A / x.
        complement: 1 - A.
        derivative: dA/dx.
    """

    log_reduced: Tensor
    ratio_over_x: Tensor
    complement: Tensor
    derivative: Tensor


@torch.no_grad()
def bessel_terms(order: float, x: Tensor) -> BesselTerms:
    """Everything about one order at once, without gradients.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        Float64 tensors of the shape of `x`, finite for every x, zero included.
    """
    x = x.double()
    steps = max(0, math.ceil(_LOWEST_DEBYE_ORDER - order))
    log_reduced, ratio_over_x, complement, derivative = _debye(order + steps, x)
    product = torch.ones_like(x)
    for step in reversed(range(steps)):
        twice = 2 * (order + step + 1)
        denominator = twice + x * x * ratio_over_x
        complement = (twice - x * complement) / denominator
        derivative = (twice - x * x * derivative) / (denominator * denominator)
        ratio_over_x = 1 / denominator
        product = product * denominator
    return BesselTerms(log_reduced + product.log(), ratio_over_x, complement, derivative)


def _debye(order: float, x: Tensor) -> BesselTerms:
    """The same from Debye's expansion alone, for orders from 24 on.

    The ratio is I_v'/I_v - v/x with the leading terms of the two subtracted on paper; so are those
    of its derivative and of its complement.
    """
    s = torch.sqrt(order * order + x * x)
    t_squared, inverse = (order / s) ** 2, 1 / s
    u, w, du, dw = _debye_sums(t_squared, inverse)
    quotient = w / u
    correction = inverse * inverse * quotient
    correction_slope = -inverse * (2 * correction + inverse * inverse * (dw - quotient * du) / u)
    return BesselTerms(
        log_reduced=order * order / (s + x)
        - order * torch.log(order + s)
        - torch.log(2 * math.pi * s) / 2
        + u.log(),
        ratio_over_x=1 / (s + order) - correction,
        complement=(order + order * order / (s + x)) / (s + order) + x * correction,
        derivative=order * inverse / (s + order) - correction - x * x * inverse * correction_slope,
    )


class _LogReduced(torch.autograd.Function):
    """log(e^-x x^-v I_v(x)); its derivative is -(1 - I_{v+1}(x) / I_v(x))."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        ctx.order = order
        ctx.save_for_backward(x)
        return bessel_terms(order, x).log_reduced.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        return None, -grads[0] * bessel_ratio_complement(ctx.order, x)


class _Ratio(torch.autograd.Function):
    """I_{v+1}(x) / I_v(x), and the same subtracted from 1."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        wide = x.double()
        values = bessel_terms(order, wide)
        ctx.save_for_backward(values.derivative.to(x.dtype))
        return (wide * values.ratio_over_x).to(x.dtype), values.complement.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (derivative,) = ctx.saved_tensors
        return None, (grads[0] - grads[1]) * derivative


def log_bessel_i_reduced(order: float, x: Tensor) -> Tensor:
    """log(e^-x x^-v I_v(x)), finite for every x >= 0, zero included.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable in `x`.
    """
    result: Tensor = _LogReduced.apply(order, x)
    return result


def log_bessel_i(order: float, x: Tensor) -> Tensor:
    """Log I_v(x), the modified Bessel function of the first kind.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`; at x = 0 it is 0 for v = 0 and -inf for v > 0.
    """
    wide = x.double()
    power = torch.special.xlogy(torch.full_like(wide, order), wide)
    result: Tensor = (log_bessel_i_reduced(order, wide) + power + wide).to(x.dtype)
    return result


def bessel_ratio(order: float, x: Tensor) -> Tensor:
    """I_{v+1}(x) / I_v(x), between 0 (x = 0) and 1.

    The mean resultant length A_p(k) of a von Mises-Fisher distribution on the unit sphere of R^p
    is bessel_ratio(p / 2 - 1, k).

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, differentiable in `x`.
    """
    ratio: Tensor = _Ratio.apply(order, x)[0]
    return ratio


def bessel_ratio_complement(order: float, x: Tensor) -> Tensor:
    """1 - I_{v+1}(x) / I_v(x) without the cancellation that large x brings.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, differentiable in `x`.
    """
    complement: Tensor = _Ratio.apply(order, x)[1]
    return complement
