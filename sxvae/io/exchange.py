"""Exchange two names in one step, where the system and the file system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

# What systems answer where the file system, NFS for example, has no exchange.
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # Linux, renameat2
_RENAME_SWAP = 2  # macOS, renamex_np


def exchange(first: Path, second: Path) -> bool:
    """Let two files or folders take each other's names at once.

    Returns:
        Whether that was done; False where it can't be done in one step.

    Raises:
        OSError: if one is not there, or may not be renamed.
    """
    names = os.fsencode(first), os.fsencode(second)
    result = _call(*names)
    if result is None:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))


def _call(first: bytes, second: bytes) -> int | None:
    """The system's answer; None if it has no such call."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return int(library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE))
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return int(library.renamex_np(first, second, _RENAME_SWAP))
    return None
