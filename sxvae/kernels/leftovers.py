"""Removes compiled code that earlier versions kept beside the sources.

Pip does not know those files. After an uninstallation they would remain, and the folders that hold
them would be imported in place of the package.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def remove_leftovers(package: Path = _PACKAGE) -> None:
    """Delete Numba's files in the package's `__pycache__` folders, and folders left empty by it."""
    for pattern in ("__pycache__/*.nb[ci]", "*/__pycache__/*.nb[ci]"):
        for file in list(package.glob(pattern)):
            with contextlib.suppress(OSError):  # in use, not ours, or a folder that is not empty
                file.unlink()
                file.parent.rmdir()
                file.parent.parent.rmdir()
