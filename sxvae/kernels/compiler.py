"""The decorator of every compiled function. Importing it imports Numba: half a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numpy.typing import NDArray

from sxvae.kernels.cache import KernelCache

Array = NDArray[Any]


def compiled(function: Callable[..., Any]) -> Any:  # noqa: ANN401 (Numba's dispatcher)
    """A function that is compiled when it is first called, and runs without Python's lock.

    The compiled code is kept in the user's cache folder.
    """
    dispatcher = njit(function, nogil=True, error_model="numpy")
    # Numba's own cache=True would write beside the sources, where pip does not remove it.
    dispatcher._cache = KernelCache(function)
    return dispatcher
