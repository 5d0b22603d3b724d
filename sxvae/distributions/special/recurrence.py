"""Bessel functions of low orders, by the recurrence down from Debye's expansion.

Debye's expansion holds from order n = 16 on. For a lower order v it is evaluated at n = v + N,
N whole and n >= 16, and N steps of I_{j-1}(x) = (2j/x) I_j(x) + I_{j+1}(x) lead down to v. For
v >= 16 there are no steps. All functions here take float64 tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sxvae.distributions.special.debye import LOWEST_ORDER, Debye, debye_sums, log_sum_at_zero

# Stands for x = 0 where a formula divides by x.
_SMALLEST = 1e-300


def _checked(order: float, x: Tensor) -> Tensor:
    """`x` with NaN for negative numbers and 0 for -0; a ValueError if the order is negative."""
    if order < 0:
        raise ValueError(f"the order of a Bessel function has to be 0 or more here, not {order}")
    return torch.where(x >= 0, x, math.nan).abs_()


class Descent:
    """The ratio A_v = I_{v+1}(x) / I_v(x) and its derivative, from Debye's expansion at order n.

    The recurrence is written for J_j = b^{n-j} I_j / I_n, b = x / (s + n), which neither overflows
    nor underflows and needs no division. It goes through E_j = J_j (1 - A_j), a difference of two
    neighbours, and T_j = J_j^2 A_j' goes beside it: both would cancel if they were computed from
    A_j.

    Args:
        order: v >= 0.
        x: argument, any shape; NaN where it is negative.

    Attributes:
        ratio_over_x: A_v / x.
        complement: 1 - A_v.
        derivative: A_v'.
    """

    def __init__(self, order: float, x: Tensor) -> None:
        x = _checked(order, x)
        self.order, self.x = order, x
        self._steps = _steps_to_debye(order)
        self._top = Debye(order + self._steps, x)
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
        """The derivative of log(e^-x I_n(x)) at the expansion's order n.

        It is s/x - 1 - c x, where c is the expansion's `correction`.
        """
        n, s, x = self._top.order, self._top.root, self.x
        return n * n / (x * (s + x)) - x * self._top.correction

    def log_decay(self) -> Tensor:
        """log(e^-x x^-v I_v(x)) less its value at x = 0."""
        n, s, x = self._top.order, self._top.root, self.x
        growth = x * x / (s + n)  # s - n
        value = (
            -n * (growth + x) / (s + x)
            - self.order * torch.log1p(growth / (2 * n))
            - torch.log1p(growth / n) / 2
            + (self._top.log_sum() - log_sum_at_zero(n))
        )
        if not self._steps:
            return value
        at_zero = sum(math.log((self.order + step + 1) / n) for step in range(self._steps))
        return value + (self._product.log() - at_zero)


def log_scaled_bessel(order: float, x: Tensor) -> Tensor:
    """Log(e^-x I_v(x)), by the same recurrence as in `Descent`, for the value alone.

    It starts from J_n = u and J_{n+1} = u (s+n) A_n / x, so that it needs neither a division nor
    the logarithm of u.
    """
    x = _checked(order, x)
    steps = _steps_to_debye(order)
    n = order + steps
    root = torch.sqrt(n * n + x * x)
    inverse = 1 / root
    current, *rest = debye_sums(n, n * inverse, 2 if steps else 1)
    if steps:
        width = root + n
        scale = 1 / width
        square = (x * scale).square_()
        above = current - rest[0].mul_(width).mul_(inverse).mul_(inverse)
        for step in reversed(range(steps)):
            twice = 2 * (order + step + 1)
            above.mul_(square).addcmul_(current, scale, value=twice)
            current, above = above, current
    difference = n * n / (root + x)  # s - x
    value = (
        current.square_().mul_(inverse).mul_(1 / (2 * math.pi)).log_().mul_(0.5).add_(difference)
    )
    if order == 0:
        return value
    value.sub_(difference.add_(n).div_(x.clamp_min(_SMALLEST)).log1p_(), alpha=order)
    return torch.where(x == 0, -math.inf, value)


def _steps_to_debye(order: float) -> int:
    """N: how many steps lie between an order and one where Debye's expansion holds."""
    return max(0, math.ceil(LOWEST_ORDER - order))


def second_order_terms(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """d(A_v / x)/dx and A_v'', by differentiating the recurrence."""
    steps = _steps_to_debye(order)
    top = Debye(order + steps, x, sums=6)
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
