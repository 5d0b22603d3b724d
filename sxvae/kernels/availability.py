"""Whether compiled functions can run in this environment."""

from __future__ import annotations

import functools
import importlib

from sxvae.kernels.remarks import remark


@functools.cache
def can_compile() -> bool:
    """Whether Numba can be imported. If it can't, a remark says so once.

    Numba is a dependency, but it may be missing where it does not support the installed Python, and
    it refuses to be imported beside a newer NumPy than it knows. The first call imports it.
    """
    try:
        importlib.import_module("sxvae.kernels.compiler")
    except (ImportError, OSError) as error:  # OSError: LLVM's shared library can't be loaded
        remark(
            "numba",
            f"Numba can't be imported ({error}), so PyTorch draws all samples, more slowly on the "
            "CPU; install a version of numba that supports this Python and NumPy for full speed",
        )
        return False
    return True
