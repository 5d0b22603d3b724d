"""The cosine between power spherical samples and their mean directions, compiled for the CPU.

With t = <loc, x>, (1 + t) / 2 has the distribution Beta((p-1)/2 + k, (p-1)/2): on S^2 its
distribution function is inverted; elsewhere it is a ratio of Gamma variates, drawn by rejection
(Marsaglia and Tsang 2000). Both 1 - t and 1 + t are returned, because one of them would lose its
digits if it were computed from the other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import LARGEST_CONCENTRATION
from sxvae.kernels.random_bits import STEP, STREAM, mix, uniform

# The smallest 1 - t and 1 + t: the sine of an angle with this cosine t is not 0.
_SMALLEST = 1e-280


@compiled
def _normal(state: Any) -> tuple[float, Any]:  # noqa: ANN401 (an unsigned 64-bit integer)
    """A standard normal number, and the generator's next state."""
    square, across = 2.0, 0.0
    while square > 1:
        state += STEP
        across = 2 * uniform(mix(state)) - 1
        state += STEP
        square = across * across + (2 * uniform(mix(state)) - 1) ** 2
    return across * math.sqrt(-2 * math.log(square) / square), state


@compiled
def _gamma(shape: float, state: Any) -> tuple[float, Any]:  # noqa: ANN401
    """A Gamma variate of a shape of 1/2 or more, and the generator's next state."""
    if shape == 0.5:
        x, state = _normal(state)
        return x * x / 2, state
    d = (shape + 1 if shape < 1 else shape) - 1 / 3
    c = 1 / math.sqrt(9 * d)
    value = 0.0
    while value == 0:  # accepted at least 19 times of 20
        x, state = _normal(state)
        root = c * x
        state += STEP
        level = uniform(mix(state))
        if root <= -1:
            continue
        excess = root * (3 + root * (3 + root))  # (1 + root)^3 - 1
        if level < 1 - 0.0331 * x**4 or (
            math.log(level) < x * x / 2 + d * (math.log1p(excess) - excess)
        ):
            value = d * (1 + excess)
    if shape < 1:
        state += STEP
        value *= uniform(mix(state)) ** (1 / shape)
    return value, state


@compiled
def draw_cosines(
    k: Array,
    ambient: int,
    seed: int,
    start: int,
    one_minus_cosine: Array,
    one_plus_cosine: Array,
) -> int:
    """Draw 1 - t and 1 + t of consecutive samples; all is as in `wood.draw_cosines`."""
    beta = (ambient - 1) / 2
    for i in range(len(one_minus_cosine)):
        row = (start + i) % len(k)
        concentration = np.float64(k[row])
        if not 0 <= concentration <= LARGEST_CONCENTRATION:
            return row
        state = mix(np.uint64(seed) + np.uint64(start + i) * STREAM)
        if ambient == 3:
            logarithm = math.log(uniform(mix(state))) / (concentration + 1)
            away, towards = -math.expm1(logarithm), math.exp(logarithm)
        else:
            towards, state = _gamma(concentration + beta, state)
            away, state = _gamma(beta, state)
        half = (towards + away) / 2
        one_minus_cosine[i] = max(away / half, _SMALLEST)
        one_plus_cosine[i] = max(towards / half, _SMALLEST)
    return -1
