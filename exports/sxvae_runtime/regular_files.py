"""Files from somebody else: regular ones up to a size. Standard library only.

What is at a path is looked at before it is opened: opening a named pipe waits without end, and
opening a device may move it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

# What the system has of these: opening something that became a pipe or a terminal in the meantime
# neither waits nor takes it over.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK")
)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)

_KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class UnfitFileError(ValueError):
    """What is there is no file to read; the message goes on after the path, as in "is a link"."""


def refuse_irregular(path: Path) -> None:
    """Refuse a folder, named pipe, socket or device where a library is to open a file.

    Links are followed. A path with nothing at it passes, since whoever opens it says so.

    Raises:
        UnfitFileError: saying what is there.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return
    _refuse_unfit(found)


def read_regular_file(path: Path, most: int, *, links: bool = False) -> bytes:
    """All bytes of a regular file, which are read once.

    Args:
        path: the file. Folders above it may be links.
        most: how many bytes it may have.
        links: whether it may be a link itself.

    Raises:
        FileNotFoundError: if there is nothing.
        UnfitFileError: if it is no regular file, too large, changes meanwhile or can't be read.
    """
    try:
        before = path.stat(follow_symlinks=links)
        _refuse_unfit(before, most)
        descriptor = os.open(path, _FLAGS | (0 if links else _NO_LINK))
        with os.fdopen(descriptor, "rb") as file:
            after = os.fstat(descriptor)
            if not os.path.samestat(before, after):
                raise UnfitFileError("was replaced while it was read")
            _refuse_unfit(after, most)
            content = file.read(after.st_size + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except UnfitFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or error
        raise UnfitFileError(f"can't be read ({reason})") from error
    if len(content) != after.st_size:
        raise UnfitFileError("was changed while it was read")
    return content


def _refuse_unfit(found: os.stat_result, most: int | None = None) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UnfitFileError("is a link, which is not followed: put the file itself there")
    if not stat.S_ISREG(found.st_mode):
        kinds = (name for is_kind, name in _KINDS.items() if is_kind(found.st_mode))
        raise UnfitFileError(f"is {next(kinds, 'something else')} and no file")
    if most is not None and found.st_size > most:
        raise UnfitFileError(f"has {found.st_size:,} bytes, more than the {most:,} that are read")
