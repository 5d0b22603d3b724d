"""What the functions share that are compiled for the CPU: the compiler, and random numbers.

Importing this imports Numba, which takes half a second: do so where a compiled function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# From one of SplitMix64's states to the next.
STEP = np.uint64(0x9E3779B97F4A7C15)


def compiled(function: Callable[..., Any]) -> Any:  # noqa: ANN401 (Numba's dispatcher)
    """Compiled at its first call, without Python's lock; kept on disk where there is a place."""
    try:
        return njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(function, nogil=True, error_model="numpy")


@compiled
def mix(state: Any) -> Any:  # noqa: ANN401 (an unsigned 64-bit integer)
    """SplitMix64's output for a state (Steele, Lea and Flood 2014)."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def uniform(bits: Any) -> float:  # noqa: ANN401
    """In (0, 1), never an end."""
    return (np.float64(bits >> np.uint64(11)) + 0.5) * 2.0**-53
