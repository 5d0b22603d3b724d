"""Modified Bessel functions of the first kind for every order and argument, in PyTorch.

One formula serves every order: Debye's uniform asymptotic expansion [6; DLMF 10.41] where the order
is at least 16, then, for a lower one, as many steps of the backward recurrence as lie between.
Twenty-one terms of the expansion give machine precision from order 16 on for every argument,
so nothing here branches on the data, or underflows or overflows below an argument of 1e150.

All arithmetic is in float64 whatever the input's type; the result has the input's type. Orders from
0 to 50,000 and arguments from 0 to 1e8 are tested. A negative argument gives NaN, a negative order
a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

_LOWEST_DEBYE_ORDER = 16.0
_DEBYE_TERMS = 21
_DEGREE = 64  # of the sum of the terms as a polynomial in t, 3 * 21, made a square number
_SUMS = 6  # u, w, Du, Dw, DDu and DDw, in this sequence
_CONSTANTS = (1.0, 0.5)  # what u_0 = 1 adds to u and w; it adds nothing to the others
# From so many elements on the polynomial is evaluated in groups of powers instead of all at once.
_GROUPED = 4096
# Elements at a time for each thread: the fewest that PyTorch spreads over threads, so that
# temporaries stay in the cache and no core idles.
_BLOCK = 1 << 15
# Stands for x = 0 where a formula divides by x.
_SMALLEST = 1e-300


def _debye_coefficients() -> list[list[float]]:
    """The coefficients of Debye's polynomials u_1, u_2, ... (DLMF 10.41.9), of t^1 to t^64.

    u_k is t^k times a polynomial of degree k in t^2; u_0 = 1.
    """
    u = [Fraction(1)]  # u[i] is the coefficient of t^(k + 2 i) in u_k
    rows = []
    for k in range(_DEBYE_TERMS):
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
    """For each u_k a row: the coefficients of its share in each of the sums.

    Here w = u / 2 + t u' and D = -s d/ds at a fixed order, where t = n / s.
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
    _EXPONENTS = -torch.arange(1, _DEBYE_TERMS + 1, dtype=torch.float64)


def _debye_sums(order: float, t: Tensor, count: int) -> tuple[Tensor, ...]:
    """The first `count` of the sums over u_k(t) / n^k, polynomials in t, in few operations.

    A product of matrices makes all of them from the powers of t. Of many elements 64 powers take
    too much memory: there it makes polynomials of degree 8, and Horner's rule in t^8 does the rest.
    """
    # Small constants are copied to another device anew: torch.compile sees through this, but not
    # through a cache.
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


def _log_sum_at_zero(order: float) -> float:
    """Log of Debye's sum u at x = 0, where t = 1."""
    return math.log1p(sum(u / order**k for k, u in enumerate(_AT_ZERO, start=1)))


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


def _in_blocks(compute: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> tuple[Tensor, ...]:
    """What `compute` makes of each element, block by block on a processor with a cache.

    A compiler fuses the operations itself and wants one graph.
    """
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return compute(x)
    block = _BLOCK * torch.get_num_threads()
    if x.numel() <= block:
        return compute(x)
    blocks = [compute(part) for part in x.reshape(-1).split(block)]
    return tuple(torch.cat(parts).view(x.shape) for parts in zip(*blocks, strict=True))


class _Debye:
    """Debye's expansion at an order n >= 16.

    With s = sqrt(n^2 + x^2) and g = w/u the ratio over x is 1 / (s + n) - g / s^2: I_n'/I_n - n/x
    with the leading terms of the two subtracted on paper, as they are in its derivatives below.
    """

    def __init__(self, order: float, x: Tensor, *, sums: int = 4) -> None:
        self.order, self.x = order, x
        self.root = torch.sqrt(order * order + x * x)
        self.inverse = 1 / self.root
        self._sums = _debye_sums(order, order * self.inverse, sums)
        u, w, du, dw = self._sums[:4]
        self._g = w / u
        self._g_step = (dw - self._g * du) / u
        self._inverse_square = self.inverse * self.inverse
        self.correction = self._inverse_square * self._g
        self._correction_step = self._inverse_square * (2 * self._g + self._g_step)

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
        correction_step_twice = self._inverse_square * (4 * (self._g + self._g_step) + g_step_twice)
        return (
            -n * (2 * s + n) * x / (s**3 * (s + n) ** 2)
            + 3 * x * self._correction_step / s**2
            - x**3 * (correction_step_twice + 2 * self._correction_step) / s**4
        )


def _arguments(order: float, x: Tensor) -> Tensor:
    """The argument, NaN where it is negative, -0 as 0."""
    if order < 0:
        raise ValueError(f"the order of a Bessel function has to be 0 or more here, not {order}")
    return torch.where(x >= 0, x, math.nan).abs_()


class _Descent:
    """From Debye's expansion at order n = v + N >= 16 down to v.

    With b = x/(s+n) the recurrence I_{j-1} = (2j/x) I_j + I_{j+1} is one of
    J_j = b^{n-j} I_j / I_n, which neither overflows nor underflows, and needs no division. It runs
    through E_j = J_j (1 - A_j), the difference of two neighbours, and beside it runs
    T_j = J_j^2 A_j'; both would cancel if they were made from the ratio A_j.
    """

    def __init__(self, order: float, x: Tensor) -> None:
        x = _arguments(order, x)
        self.order, self.x = order, x
        self._steps = _steps_to_debye(order)
        self._top = _Debye(order + self._steps, x)
        self.ratio_over_x = self._top.ratio_over_x()
        self.complement = self._top.complement()
        self.derivative = self._top.derivative()
        if self._steps:
            self._descend()

    def _descend(self) -> None:
        scale = 1 / (self._top.root + self._top.order)
        b = self.x * scale
        minus_b, minus_square = -b, -b * b
        above = current = torch.ones_like(b)
        for step in reversed(range(self._steps)):
            twice = 2 * (self.order + step + 1)
            part = scale * current
            self.complement.mul_(minus_b).add_(part, alpha=twice)
            self.derivative.mul_(minus_square).addcmul_(part, part, value=twice)
            above, current = current, torch.addcmul(self.complement, b, current)
        self._product = current
        self.ratio_over_x = scale * above / current
        self.complement.div_(current)
        self.derivative.div_(current).div_(current)

    def scaled_slope_at_top(self) -> Tensor:
        """The derivative of log(e^-x I_n(x)) at the top's order n, s/x - 1 - x c."""
        n, s, x = self._top.order, self._top.root, self.x
        return n * n / (x * (s + x)) - x * self._top.correction

    def log_decay(self) -> Tensor:
        n, s, x = self._top.order, self._top.root, self.x
        growth = x * x / (s + n)  # s - n
        value = (
            -n * (growth + x) / (s + x)
            - self.order * torch.log1p(growth / (2 * n))
            - torch.log1p(growth / n) / 2
            + (self._top.log_sum() - _log_sum_at_zero(n))
        )
        if not self._steps:
            return value
        at_zero = sum(math.log((self.order + step + 1) / n) for step in range(self._steps))
        return value + (self._product.log() - at_zero)


def _log_scaled(order: float, x: Tensor) -> Tensor:
    """Log(e^-x I_v(x)): the same descent as in `_Descent`, of the value alone.

    It starts from J_n = u and J_{n+1} = u (s+n) A_n / x, which takes neither a division nor a
    logarithm of u.
    """
    x = _arguments(order, x)
    steps = _steps_to_debye(order)
    n = order + steps
    root = torch.sqrt(n * n + x * x)
    inverse = 1 / root
    current, *rest = _debye_sums(n, n * inverse, 2 if steps else 1)
    if steps:
        width = root + n
        scale = 1 / width
        square = (x * scale).square_()
        above = current - rest[0].mul_(width).mul_(inverse).mul_(inverse)
        for step in reversed(range(steps)):
            twice = 2 * (order + step + 1)
            above.mul_(square).addcmul_(current, scale, value=twice)
            current, above = above, current
    gap = n * n / (root + x)  # s - x
    value = current.square_().mul_(inverse).mul_(1 / (2 * math.pi)).log_().mul_(0.5).add_(gap)
    if order == 0:
        return value
    value.sub_(gap.add_(n).div_(x.clamp_min(_SMALLEST)).log1p_(), alpha=order)
    return torch.where(x == 0, -math.inf, value)


def _log_i(order: float, scaled: bool, x: Tensor) -> tuple[Tensor]:
    value = _log_scaled(order, x)
    return (value if scaled else value + x,)


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


def _terms(order: float, x: Tensor) -> tuple[Tensor, ...]:
    descent = _Descent(order, x)
    ratio = x * descent.ratio_over_x
    others = (descent.ratio_over_x, descent.complement, descent.derivative)
    return descent.log_decay(), ratio, *others


class _Terms(torch.autograd.Function):
    """The five terms, with each one's derivative among the others or in `_SecondOrder`."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 (autograd's context has no public type)
        terms = BesselTerms(*_in_blocks(partial(_terms, order), x))
        ctx.order = order
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, terms.complement, terms.derivative)
        return tuple(terms)

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
        slope, second = _in_blocks(partial(_second_order, order), x)
        return slope, second

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError("Bessel functions are twice differentiable here, not three times")


def _plus_order_over(value: Tensor, order: float, x: Tensor) -> Tensor:
    """Value + v / x, without 0 / 0 for v = 0."""
    return value if order == 0 else value + order / x


def _scaled_slope(order: float, x: Tensor) -> tuple[Tensor]:
    descent = _Descent(order, x)
    if order < _LOWEST_DEBYE_ORDER:
        return (_plus_order_over(-descent.complement, order, x),)
    return (descent.scaled_slope_at_top(),)


class _ScaledSlope(torch.autograd.Function):
    """v/x - (1 - A), where that cancels from Debye's expansion."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.order = order
        ctx.save_for_backward(x)
        (slope,) = _in_blocks(partial(_scaled_slope, order), x)
        return slope

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
        (value,) = _in_blocks(partial(_log_i, order, scaled), x)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        if ctx.scaled:
            slope = _ScaledSlope.apply(ctx.order, x)
        else:
            slope = _plus_order_over(bessel_terms(ctx.order, x).ratio, ctx.order, x)
        # At x = 0 the slope is infinite; a result that does not count must not make a NaN of it.
        return None, torch.where(grads[0] == 0, 0.0, grads[0] * slope), None
