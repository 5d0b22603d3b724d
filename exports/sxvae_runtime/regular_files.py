"""Files from somebody else: regular ones up to a size, and no links. Standard library only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# What the system has of these: a link at the end of the path is refused, and opening something that
# became a FIFO or a terminal in the meantime neither waits nor takes it over.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0)
    for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK")
)


class UnfitFileError(ValueError):
    """What is there is no file to read; the message goes on after the path, as in "is a link"."""


def read_regular_file(path: Path, most: int) -> bytes:
    """All bytes of a regular file, which are read once.

    Args:
        path: the file. Folders above it may be links, it may not.
        most: how many bytes it may have.

    Raises:
        FileNotFoundError: if there is nothing.
        UnfitFileError: if it is no regular file, too large, changes meanwhile or can't be read.
    """
    try:
        before = path.lstat()
        _refuse_unfit(before, most)  # not even opened: that may wait, or move a device
        descriptor = os.open(path, _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            after = os.fstat(descriptor)
            if not os.path.samestat(before, after):
                raise UnfitFileError("was replaced while it was read")
            _refuse_unfit(after, most)
            content = file.read(after.st_size + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(path) from None
    except UnfitFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or error
        raise UnfitFileError(f"can't be read ({reason})") from error
    if len(content) != after.st_size:
        raise UnfitFileError("was changed while it was read")
    return content


def _refuse_unfit(found: os.stat_result, most: int) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UnfitFileError("is a link, which is not followed: put the file itself there")
    if stat.S_ISDIR(found.st_mode):
        raise UnfitFileError("is a folder and no file")
    if not stat.S_ISREG(found.st_mode):
        raise UnfitFileError("is a pipe, a socket or a device and no file")
    if found.st_size > most:
        raise UnfitFileError(f"has {found.st_size:,} bytes, more than the {most:,} that are read")
