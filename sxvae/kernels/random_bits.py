"""Random numbers, compiled for the CPU: SplitMix64 (Steele, Lea and Flood 2014).

A generator is one unsigned 64-bit integer, its state. Adding `STEP` gives the next state, and
`mix` turns a state into 64 random bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sxvae.kernels.compiler import compiled

# From one state to the next.
STEP = np.uint64(0x9E3779B97F4A7C15)
# From the seed of one sample's generator to the next sample's.
STREAM = np.uint64(0xD1342543DE82EF95)


@compiled
def mix(state: Any) -> Any:  # noqa: ANN401 (an unsigned 64-bit integer)
    """The 64 random bits of a state."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def uniform(bits: Any) -> float:  # noqa: ANN401
    """A number in (0, 1), never an end, from 64 random bits."""
    return (np.float64(bits >> np.uint64(11)) + 0.5) * 2.0**-53
