"""What the derivatives of cosines integrate with, compiled for the CPU.

The integral, its variable and the names of its parameters are those of
`sxvae.distributions.sampling.implicit`.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled

_SMALLEST_FALL = 1e-30
_SMALL = 1e-6
# Added to a number below 2^51, it leaves the nearest integer in the lowest bits.
_SHIFT = 1.5 * 2.0**52
_SIXTH = 1 / 6
# Of float64's exponent. Numbers from sqrt(2) on get the next one by an addition to their bits.
_BIAS = np.int64(1023)
_TO_NEXT_POWER = np.int64((1 << 52) - 0x6A09E667F3BCD)
# The bits of 2^52: a whole number in the lowest ones is added to it.
_SHIFT_BITS = np.int64(0x4330000000000000)
_SHIFTED_BIAS = 2.0**52 + 1023
_LOG_2 = math.log(2)


@compiled
def _quick_log_of_one_plus(x: float) -> float:
    """log(1 + x) to ten digits: `log1p` takes longer, and is needed for small x alone."""
    logarithm: float = math.log1p(x) if abs(x) < _SMALL else math.log(1 + x)
    return logarithm


@compiled
def integration_width(
    ratio: float, first: float, second: float, rate: float, depth: float
) -> float:
    """How far below 1 the variable of integration has to go, for one sample."""
    power = first + 0.5
    slope = power - second * ratio - rate
    curvature = max(power + second * ratio * ratio, 0.0)
    u = 2 * depth / (slope + math.sqrt(slope * slope + 2 * depth * curvature))
    if not 0 <= u < 1 - 2.0**-52:
        u = 1 - 2.0**-52
    log_end, log_other = _quick_log_of_one_plus(-u), _quick_log_of_one_plus(ratio * u)
    drop = -(power * log_end + second * log_other + rate * u)
    fall = power / (1 - u) - second * ratio / (1 + ratio * u) - rate
    u = min(u + (depth - drop) / max(fall, _SMALLEST_FALL), 1.0)
    width: float = u / (1 + math.sqrt(1 - u))
    return width


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
def log_of_one_plus(x: float) -> float:
    """log(1 + x) to 1e-13 for x above -1 by operations that a loop can vectorise."""
    whole = 1 + x
    lost = (x - (whole - 1)) / whole
    # A power of 2 times a number from sqrt(1/2) to sqrt(2): the power is in the exponent's bits.
    bits = np.float64(whole).view(np.int64)
    exponent = (bits + _TO_NEXT_POWER) >> 52
    mantissa = np.int64(bits - ((exponent - _BIAS) << 52)).view(np.float64)
    power = np.int64(exponent | _SHIFT_BITS).view(np.float64) - _SHIFTED_BIAS
    s = (mantissa - 1) / (mantissa + 1)
    s2 = s * s
    s4 = s2 * s2
    # The series of atanh s up to s^15, added in pairs as in `exponential`.
    low = 1 + s2 / 3 + (1 / 5 + s2 / 7) * s4
    high = (1 / 9 + s2 / 11) + (1 / 13 + s2 / 15) * s4
    logarithm: float = 2 * s * (low + high * (s4 * s4)) + (power * _LOG_2 + lost)
    return logarithm


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
