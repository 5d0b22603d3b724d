"""The cosine between von Mises-Fisher samples and their mean directions, compiled for the CPU.

Let t = <loc, x> be a sample's cosine. On S^2 its distribution function is inverted; elsewhere it is
drawn by Wood's rejection sampler. Both 1 - t and 1 + t are returned, because one of them would lose
its digits if it were computed from the other. The formulas are those of
`sxvae.distributions.sampling.wood`, applied to one sample after the other.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import LARGEST_CONCENTRATION
from sxvae.kernels.random_bits import STEP, STREAM, mix, uniform

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
_SMALLEST = 2.0**-53
# Stands for 0 where a formula divides by k: its limit is reached to eight digits or more.
_SMALLEST_CONCENTRATION = 1e-8


@compiled
def draw_cosines(
    k: Array,
    ambient: int,
    seed: int,
    start: int,
    one_minus_cosine: Array,
    one_plus_cosine: Array,
) -> int:
    """Draw 1 - t and 1 + t of consecutive samples.

    Sample i belongs to row i % rows of the concentrations and has a random stream of its own, so it
    is the same in whatever blocks the samples are drawn.

    Args:
        k: concentrations, shape (rows,).
        ambient: p, for the unit sphere of R^p.
        seed: of the random streams, 63 bits.
        start: the index of the first sample to draw.
        one_minus_cosine: filled with 1 - t, shape (n,), float64.
        one_plus_cosine: filled with 1 + t, shape (n,), float64.

    Returns:
        The first row whose concentration is below 0 or above 1e100, or -1.
    """
    for i in range(len(one_minus_cosine)):
        row = (start + i) % len(k)
        concentration = np.float64(k[row])
        if not 0 <= concentration <= LARGEST_CONCENTRATION:
            return row
        state = mix(np.uint64(seed) + np.uint64(start + i) * STREAM)
        if ambient == 3:
            bounded = max(concentration, _SMALLEST_CONCENTRATION)
            distance = -math.log1p(uniform(mix(state)) * math.expm1(-2 * bounded)) / bounded
            smallest = _SMALLEST / max(bounded, 1.0)
            one_minus_cosine[i] = min(max(distance, smallest), 2 - 2 * _SMALLEST)
            one_plus_cosine[i] = 2 - one_minus_cosine[i]
            continue
        twice = 2 * concentration
        b = (ambient - 1) / (math.sqrt(twice * twice + (ambient - 1.0) ** 2) + twice)
        half_sum, half_difference = 0.5 + b / 2, 0.5 - b / 2
        accepted = False
        for _ in range(_MAX_ROUNDS):
            # A point in the unit disc has a uniform angle and, apart from it, a uniform square.
            square = 2.0
            while square > 1:
                state += STEP
                across = 2 * uniform(mix(state)) - 1
                state += STEP
                square = across * across + (2 * uniform(mix(state)) - 1) ** 2
            centred = across / math.sqrt(square)
            if ambient > 2:
                centred *= math.sqrt(1 - math.exp(2 * math.log(square) / (ambient - 2)))
            denominator = half_sum - half_difference * centred
            ratio = half_sum / denominator
            state += STEP
            level = uniform(mix(state))
            # log r >= 2 (r - 1) / (r + 1) from 1 on, >= (r - 1 / r) / 2 below, exp x >= 1 + x:
            # most proposals are accepted without computing a logarithm.
            fourth = 1 - (ambient - 1) / 4 * (ratio - 1) ** 2 / (ratio + min(ratio, 1.0))
            if (fourth > 0 and level <= fourth**4) or (
                math.log(level) <= (ambient - 1) * (math.log(ratio) - ratio + 1)
            ):
                one_minus_cosine[i] = b * max(1 + centred, _SMALLEST) / denominator
                one_plus_cosine[i] = max(1 - centred, _SMALLEST) / denominator
                accepted = True
                break
        if not accepted:
            return row
    return -1
