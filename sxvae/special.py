"""Modified Bessel functions of the first kind for every order and argument, in PyTorch.

One formula serves every order: Debye's uniform asymptotic expansion [6; DLMF 10.41] where the order
is at least 24, then, for a lower one, as many steps of the backward recurrence of the ratios as lie
between. Twelve terms of the expansion give machine precision from order 24 on for every argument,
so nothing here branches on the data, or underflows or overflows below an argument of 1e150.

All arithmetic is in float64 whatever the input's type; the result has the input's type. Orders from
0 to 50,000 and arguments from 0 to 1e8 are tested. A negative argument gives NaN, a negative order
a ValueError.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor

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


_TERMS = _DEBYE_TERMS + 1
# Stands for x = 0 where a formula divides by x.
_SMALLEST = 1e-300


def _times_powers(rows: list[list[float]]) -> list[list[float]]:
    """The rows of -s d/ds of the sum that `rows` stands for: s^-(k + 2 i) times its exponent."""
    return [[c * (k + 2 * i) for i, c in enumerate(row)] for k, row in enumerate(rows)]


def _coefficient_table() -> list[list[float]]:
    """For each power of 1/s a row: the coefficients in t^2 of u, w and their derivatives.

    These are Du, Dw, DDu, DDw with D = -s d/ds at a fixed order, in this sequence.
    """
    sums = list(_debye_coefficients())
    for _ in range(2):
        sums += [_times_powers(rows) for rows in sums[-2:]]
    return [
        [c for rows in sums for c in (*rows[k], *[0.0] * (_TERMS - 1 - k))] for k in range(_TERMS)
    ]


_ROWS = _coefficient_table()
with torch.inference_mode(False):  # whatever mode this is imported in
    _TABLE = torch.tensor(_ROWS, dtype=torch.float64)
    _EXPONENTS = torch.arange(_TERMS, dtype=torch.float64)


def _log_sum_at_zero(order: float) -> float:
    """Log of Debye's sum u at x = 0, where t = 1 and s is the order."""
    return math.log(sum(sum(row[:_TERMS]) / order**k for k, row in enumerate(_ROWS)))


class BesselTerms(NamedTuple):
    """I_v(x), and its ratio A = I_{v+1}(x) / I_v(x), in forms that neither cancel nor overflow.

    Attributes:
        log_decay: log(e^-x 0F1(; v+1; x^2/4)), which is log(e^-x x^-v I_v(x)) less its value at
            x = 0; it falls from 0.
        ratio: A.
        ratio_over_x: A / x.
        complement: 1 - A.
        derivative: A' = dA/dx.
    """

    log_decay: Tensor
    ratio: Tensor
    ratio_over_x: Tensor
    complement: Tensor
    derivative: Tensor


def bessel_terms(order: float, x: Tensor) -> BesselTerms:
    """Everything about one order at once.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        Float64 tensors of the shape of `x`, finite for every x, zero included. `log_decay`, `ratio`
        and `complement` are twice differentiable, the other two once.
    """
    return BesselTerms(*_Terms.apply(order, x.double()))


def log_bessel_i(order: float, x: Tensor) -> Tensor:
    """Log I_v(x), the modified Bessel function of the first kind.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable; at x = 0 it is 0 for v = 0 and -inf for v > 0.
    """
    value: Tensor = _LogBessel.apply(order, x.double(), False)
    return value.to(x.dtype)


def log_bessel_ive(order: float, x: Tensor) -> Tensor:
    """Log(e^-x I_v(x)): the exponentially scaled form of `log_bessel_i`.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable; at x = 0 it is 0 for v = 0 and -inf for v > 0.
    """
    value: Tensor = _LogBessel.apply(order, x.double(), True)
    return value.to(x.dtype)


def bessel_ratio(order: float, x: Tensor) -> Tensor:
    """I_{v+1}(x) / I_v(x), between 0 (x = 0) and 1.

    The mean resultant length A_p(k) of a von Mises-Fisher distribution on the unit sphere of R^p
    is bessel_ratio(p / 2 - 1, k).

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable.
    """
    return bessel_terms(order, x).ratio.to(x.dtype)


def bessel_ratio_complement(order: float, x: Tensor) -> Tensor:
    """1 - I_{v+1}(x) / I_v(x) without the cancellation that large x brings.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable.
    """
    return bessel_terms(order, x).complement.to(x.dtype)


class _Debye:
    """Debye's expansion at an order n >= 24.

    With s = sqrt(n^2 + x^2) and g = w/u the ratio over x is 1 / (s + n) - g / s^2: I_n'/I_n - n/x
    with the leading terms of the two subtracted on paper, as they are in its derivatives below.
    """

    def __init__(self, order: float, x: Tensor, *, sums: int = 4) -> None:
        self.order, self.x = order, x
        self.root = torch.sqrt(order * order + x * x)
        self.inverse = 1 / self.root
        self._sums = self._evaluate(sums)
        u, w, du, dw = self._sums[:4]
        self._g = w / u
        self._g_step = (dw - self._g * du) / u
        self.correction = self.inverse**2 * self._g
        self._correction_step = self.inverse**2 * (2 * self._g + self._g_step)

    def _evaluate(self, count: int) -> tuple[Tensor, ...]:
        """The first `count` sums over s^-k t^2i, t = n/s, in a few large operations."""
        # Small constants are copied to another device anew: torch.compile sees through this, but
        # not through a cache.
        table, exponents = (constant.to(self.x.device) for constant in (_TABLE, _EXPONENTS))
        in_inverse = self.inverse.unsqueeze(-1) ** exponents
        in_t_squared = ((self.order * self.inverse) ** 2).unsqueeze(-1) ** exponents
        rows = (in_inverse @ table[:, : count * _TERMS]).unflatten(-1, (count, _TERMS))
        sums: tuple[Tensor, ...] = (rows @ in_t_squared.unsqueeze(-1)).squeeze(-1).unbind(-1)
        return sums

    def log_sum(self) -> Tensor:
        return self._sums[0].log()

    def ratio_over_x(self) -> Tensor:
        return 1 / (self.root + self.order) - self.correction

    def complement(self) -> Tensor:
        n, s, x = self.order, self.root, self.x
        return (n + n * n / (s + x)) / (s + n) + x * self.correction

    def derivative(self) -> Tensor:
        main = self.order * self.inverse / (self.root + self.order)
        return main - self.correction + (self.x * self.inverse) ** 2 * self._correction_step

    def ratio_over_x_slope(self) -> Tensor:
        return (
            self.x
            * self.inverse
            * (self._correction_step * self.inverse - (self.root + self.order) ** -2)
        )

    def second_derivative(self) -> Tensor:
        n, s, x = self.order, self.root, self.x
        u, _, du, _, ddu, ddw = self._sums
        g_step_twice = (ddw - 2 * self._g_step * du - self._g * ddu) / u
        correction_step_twice = self.inverse**2 * (4 * (self._g + self._g_step) + g_step_twice)
        return (
            -n * (2 * s + n) * x / (s**3 * (s + n) ** 2)
            + 3 * x * self._correction_step / s**2
            - x**3 * (correction_step_twice + 2 * self._correction_step) / s**4
        )


class _Descent:
    """From Debye's expansion at order v + N >= 24 down to v by the recurrence of the ratios.

    I_{v+j} / I_{v+j+1} = d_j / x, d_j = 2 (v+j+1) + x^2 (A_{v+j+1} / x).
    """

    def __init__(self, order: float, x: Tensor) -> None:
        if order < 0:
            raise ValueError(
                f"the order of a Bessel function has to be 0 or more here, not {order}"
            )
        x = torch.where(x >= 0, x, math.nan)
        self.order, self.x = order, x
        self._steps = _steps_to_debye(order)
        self._top = _Debye(order + self._steps, x)
        self.ratio_over_x = self._top.ratio_over_x()
        self.complement = self._top.complement()
        self.derivative = self._top.derivative()
        # The d_j's product would overflow: each is taken over x + 2n, n the top's order.
        self._product = torch.ones_like(x)
        scale = 1 / (x + 2 * self._top.order)
        for step in reversed(range(self._steps)):
            twice = 2 * (order + step + 1)
            denominator = twice + x * x * self.ratio_over_x
            self.complement = (twice - x * self.complement) / denominator
            self.derivative = (twice - x * x * self.derivative) / (denominator * denominator)
            self.ratio_over_x = 1 / denominator
            self._product = self._product * (denominator * scale)

    def scaled_slope_at_top(self) -> Tensor:
        """The derivative of log(e^-x I_n(x)) at the top's order n, s/x - 1 - x c."""
        n, s, x = self._top.order, self._top.root, self.x
        return n * n / (x * (s + x)) - x * self._top.correction

    def log_decay(self) -> Tensor:
        n, s, x = self._top.order, self._top.root, self.x
        growth = x * x / (s + n)  # s - n
        at_top = (
            -n * (growth + x) / (s + x)
            - n * torch.log1p(growth / (2 * n))
            - torch.log1p(growth / n) / 2
            + (self._top.log_sum() - _log_sum_at_zero(n))
        )
        ladder = sum(math.log(2 * (self.order + step + 1)) for step in range(self._steps))
        return at_top + (self._product.log() + self._steps * torch.log(x + 2 * n) - ladder)

    def log_scaled(self) -> Tensor:
        n, s, x = self._top.order, self._top.root, self.x.clamp_min(_SMALLEST)
        at_top = (
            n * n / (s + x)
            - n * torch.asinh(n / x)
            - torch.log(2 * math.pi * s) / 2
            + self._top.log_sum()
        )
        value = at_top + self._product.log() + self._steps * torch.log1p(2 * n / x)
        return torch.where(self.x == 0, 0.0 if self.order == 0 else -math.inf, value)


def _steps_to_debye(order: float) -> int:
    return max(0, math.ceil(_LOWEST_DEBYE_ORDER - order))


def _second_order(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """d(A/x)/dx and A'', by the derivatives of the same recurrence."""
    steps = _steps_to_debye(order)
    top = _Debye(order + steps, x, sums=6)
    ratio_over_x, derivative = top.ratio_over_x(), top.derivative()
    slope, second = top.ratio_over_x_slope(), top.second_derivative()
    for step in reversed(range(steps)):
        twice = 2 * (order + step + 1)
        denominator = twice + x * x * ratio_over_x
        denominator_slope = x * (ratio_over_x + derivative)
        falling = twice - x * x * derivative
        second = (
            -x * (2 * derivative + x * second) - 2 * falling * denominator_slope / denominator
        ) / denominator**2
        slope = -denominator_slope / denominator**2
        derivative = falling / denominator**2
        ratio_over_x = 1 / denominator
    return slope, second


class _Terms(torch.autograd.Function):
    """The five terms, with each one's derivative among the others or in `_SecondOrder`."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 (autograd's context has no public type)
        descent = _Descent(order, x)
        ratio = x * descent.ratio_over_x
        ctx.order = order
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, descent.complement, descent.derivative)
        return (
            descent.log_decay(),
            ratio,
            descent.ratio_over_x,
            descent.complement,
            descent.derivative,
        )

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        x, complement, derivative = ctx.saved_tensors
        log_decay, ratio, ratio_over_x, complement_grad, derivative_grad = grads
        parts = []
        if log_decay is not None:
            parts.append(-log_decay * complement)
        if ratio is not None:
            parts.append(ratio * derivative)
        if complement_grad is not None:
            parts.append(-complement_grad * derivative)
        if ratio_over_x is not None or derivative_grad is not None:
            slope, second = _SecondOrder.apply(ctx.order, x)
            if ratio_over_x is not None:
                parts.append(ratio_over_x * slope)
            if derivative_grad is not None:
                parts.append(derivative_grad * second)
        return None, sum(parts[1:], parts[0]) if parts else None


class _SecondOrder(torch.autograd.Function):
    """d(A/x)/dx and A''."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        return _second_order(order, x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError("Bessel functions are twice differentiable here, not three times")


def _plus_order_over(value: Tensor, order: float, x: Tensor) -> Tensor:
    """Value + v / x, without 0 / 0 for v = 0."""
    return value if order == 0 else value + order / x


class _ScaledSlope(torch.autograd.Function):
    """v/x - (1 - A), where that cancels from Debye's expansion."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.order = order
        ctx.save_for_backward(x)
        descent = _Descent(order, x)
        if order < _LOWEST_DEBYE_ORDER:
            return _plus_order_over(-descent.complement, order, x)
        return descent.scaled_slope_at_top()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        derivative = bessel_terms(ctx.order, x).derivative
        if ctx.order > 0:
            derivative = derivative - ctx.order / x**2
        return None, grads[0] * derivative


class _LogBessel(torch.autograd.Function):
    """log I_v(x), or log(e^-x I_v(x)); the derivatives are v/x + A and v/x - (1 - A)."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor, scaled: bool) -> Tensor:  # noqa: ANN401
        ctx.order, ctx.scaled = order, scaled
        ctx.save_for_backward(x)
        value = _Descent(order, x).log_scaled()
        return value if scaled else value + x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        if ctx.scaled:
            slope = _ScaledSlope.apply(ctx.order, x)
        else:
            slope = _plus_order_over(bessel_terms(ctx.order, x).ratio, ctx.order, x)
        # At x = 0 the slope is infinite; a result that does not count must not make a NaN of it.
        return None, torch.where(grads[0] == 0, 0.0, grads[0] * slope), None
