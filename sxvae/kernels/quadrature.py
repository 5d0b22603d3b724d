"""What the derivatives of both families integrate with, compiled for the CPU.

The integral, its variable and the names of its parameters are those of
`sxvae.distributions.sampling.implicit`.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled

_SMALLEST_FALL = 1e-30
# Added to a number below 2^51, it leaves the nearest integer in the lowest bits.
_SHIFT = 1.5 * 2.0**52
_SIXTH = 1 / 6


@compiled
def integration_width(
    ratio: float, first: float, second: float, rate: float, depth: float
) -> float:
    """How far below 1 the variable of integration has to go: `implicit._width` for one sample."""
    power = first + 0.5
    slope = power - second * ratio - rate
    curvature = max(power + second * ratio * ratio, 0.0)
    u = 2 * depth / (slope + math.sqrt(slope * slope + 2 * depth * curvature))
    if not 0 <= u < 1 - 2.0**-52:
        u = 1 - 2.0**-52
    drop = -(power * math.log(1 - u) + second * math.log(1 + ratio * u) + rate * u)
    fall = power / (1 - u) - second * ratio / (1 + ratio * u) - rate
    u = min(u + (depth - drop) / max(fall, _SMALLEST_FALL), 1.0)
    return u / (1 + math.sqrt(1 - u))


@compiled
def exponential(x: float) -> float:
    """Exp to 1e-11, from 1e-304 to 1e304, by operations that a loop can vectorise."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * 1.4426950408889634 + _SHIFT
    halvings = shifted - _SHIFT
    r = (x - halvings * 0.6931471803691238) - halvings * 1.9082149292705877e-10
    # The series of exp r up to r^9, added in pairs that a processor can work on at the same time.
    r2 = r * r
    r4 = r2 * r2
    low = (1 + r) + (0.5 + r * _SIXTH) * r2
    high = (_SIXTH / 4 + r * _SIXTH / 20) + (_SIXTH / 120 + r * _SIXTH / 840) * r2
    value = low + (high + (_SIXTH / 6_720 + r * _SIXTH / 60_480) * r4) * r4
    # The integer is in the lowest bits of the shifted number; it is added to the exponent's bits.
    bits = np.float64(value).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)
    return np.int64(bits).view(np.float64)


@compiled
def multiply_by_power(values: Array, factors: Array, twice: int) -> None:
    """Multiply each value by its factor to the power twice / 2, in place."""
    for _ in range(twice // 2):
        for node in range(len(values)):
            values[node] *= factors[node]
    if twice < 0:
        for node in range(len(values)):
            values[node] /= math.sqrt(factors[node])
    elif twice % 2:
        for node in range(len(values)):
            values[node] *= math.sqrt(factors[node])
