"""Keeps the code that Numba compiles, one file for each function and types of arguments.

Numba's own cache looks at the file of one function to tell whether its code is stale. Compiled
functions contain the code of those that they call, so here all sources are in the key.
"""

from __future__ import annotations

import functools
import hashlib
import pickle  # noqa: TID251 (Numba's form of compiled code; read from the user's own private files)
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from sxvae.kernels.cache_folder import (
    cache_folder,
    read_file,
    remark_unusable,
    write_file,
)
from sxvae.kernels.remarks import remark


@functools.cache
def cache_key(target: tuple[str, ...]) -> str:
    """A hash of everything that compiled code depends on.

    Args:
        target: the system, and the processor's name and features, as Numba describes them.
    """
    versions = (
        platform.python_implementation(),
        platform.python_version(),
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        # Code that uses Intel's vector functions does not run where they are not installed.
        str(getattr(numba.config, "USING_SVML", False)),
    )
    digest = hashlib.sha256(repr((versions, target)).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(repr((source.name, source.read_bytes())).encode())
    return digest.hexdigest()[:32]


class KernelCache:
    """The compiled code of one function; Numba calls its methods when it compiles.

    Whatever is wrong with the files, the function is compiled in memory.

    Args:
        function: the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__.rpartition('.')[-1]}.{function.__qualname__}"

    def load_overload(self, signature: Any, context: Any) -> Any:  # noqa: ANN401 (Numba's types are untyped)
        """The code for a signature, or None if it has to be compiled."""
        context.refresh()
        path = self._path(signature, context.codegen())
        if path is None:
            return None
        try:
            payload = read_file(path)
            if payload is not None:
                return CompileResult._rebuild(context, *pickle.loads(payload))
        except OSError as error:
            remark_unusable(path, error)
        except Exception as error:  # whatever is wrong with the file, compiling again is right
            remark("cache", f"{path} is damaged ({error}): it is compiled again and replaced")
        return None

    def save_overload(self, signature: Any, result: Any) -> None:  # noqa: ANN401
        """Keep the code for a signature."""
        path = self._path(signature, result.codegen)
        if path is None or result.library.has_dynamic_globals:  # addresses in this process's memory
            return
        try:
            write_file(path, dumps(result._reduce()))
        except OSError as error:
            remark_unusable(path.parent, error)

    def _path(self, signature: Any, codegen: Any) -> Path | None:  # noqa: ANN401
        folder = cache_folder(cache_key(codegen.magic_tuple()))
        types = hashlib.sha256(repr(signature).encode()).hexdigest()[:16]
        return folder and folder / f"{self._name}-{types}.kernel"
