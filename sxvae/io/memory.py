"""What does not fit into memory is refused before it is read."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae.errors import DataError

_GIB = 2**30


def refuse_beyond_memory(path: Path, size: int) -> None:
    """Refuse arrays that are larger than the machine's memory; systems that do not say pass.

    Args:
        path: the file of the arrays.
        size: theirs, in bytes.

    Raises:
        DataError: if they are larger.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if 0 < memory < size:
        raise DataError(
            f"{path} does not fit into this machine's memory: its arrays take "
            f"{size / _GIB:,.0f} GiB, and there are {memory / _GIB:,.0f} GiB"
        )
