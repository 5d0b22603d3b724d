"""Look at what lies at a path before it is opened: a named pipe would be waited for without end."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from sxvae.errors import DataError, SxvaeError

_KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def refuse_irregular(path: Path, error: type[SxvaeError] = DataError) -> None:
    """Refuse a folder, named pipe, socket or device where a file is to be read.

    A path with nothing at it passes, since whoever opens it says so. Links are followed.

    Args:
        path: what is to be opened.
        error: the kind of error to raise.

    Raises:
        SxvaeError: of the kind `error`, saying what is at the path.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        found = next((name for is_kind, name in _KINDS.items() if is_kind(mode)), "no file")
        raise error(
            f"{path} is {found}, and a file is needed: name one, or save its content as one"
        )
