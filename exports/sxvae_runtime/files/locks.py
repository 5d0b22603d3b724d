"""Locks on files, which the kernel takes back when a process ends, killed or not.

A lock belongs to the process that took it: a child that was forked does not keep it. There are file
systems without locks; a file there is held, but `is_locked` says that nobody is kept out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from sxvae_runtime.json_values import JsonProblemError, Value, parse_object
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

_HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}

# A file with a holder in it has some 50 bytes.
_LARGEST = 2**16

_held: set[int] = set()


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as it wrote itself into the file.

    Attributes:
        process: its number.
        host: the machine's name.
    """

    process: int
    host: str


class HeldFile:
    """An open file that this process holds.

    Attributes:
        is_locked: whether the file system keeps other processes out.
    """

    def __init__(self, descriptor: int, is_locked: bool) -> None:
        self.is_locked = is_locked
        self._descriptor = descriptor
        self._process = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this process took the lock and has not let go of it."""
        return self._descriptor >= 0 and self._process == os.getpid()

    def is_at(self, path: Path) -> bool:
        """Whether this is the file at `path`, which others may have moved, removed or replaced."""
        return _is_same(self._descriptor, path)

    def write(self, content: str) -> None:
        """Replace the file's content.

        Raises:
            OSError: if it can't be written.
        """
        if os.fstat(self._descriptor).st_size:  # ext4 waits for the disk after it, empty or not
            os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, content.encode())

    def write_holder(self) -> None:
        """Write this process into the file, for `read_holder`.

        Raises:
            OSError: if it can't be written.
        """
        import platform

        self.write(json.dumps({"process": os.getpid(), "host": platform.node()}) + "\n")

    def let_go(self) -> None:
        """Let go of the file. In a forked child it is not held, and nothing happens."""
        if self.is_ours:
            _close(self._descriptor)
            self._descriptor = -1


def hold(path: Path, *, create: bool = True) -> HeldFile | None:
    """Hold the file at `path`; None if another process, or another part of this one, holds it.

    Args:
        path: a regular file.
        create: make it if it is not there.

    Raises:
        FileNotFoundError: if it is not there and is not to be made, or its folder is not there.
        OSError: if it can't be opened for writing.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    while True:
        descriptor = os.open(path, flags | (os.O_CREAT if create else 0), 0o666)
        _held.add(descriptor)
        kept = False
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(path))
            taken = _take(descriptor)
            if taken is False:
                return None
            if _is_same(descriptor, path):  # else the last holder removed it just before
                kept = True
                return HeldFile(descriptor, is_locked=taken is not None)
        finally:
            if not kept:
                _close(descriptor)


def read_holder(path: Path) -> Holder | None:
    """Who wrote itself into a file; None if nobody did."""
    try:
        content = Value(parse_object(read_regular_file(path, _LARGEST)))
        return Holder(content["process"].integer(0, 2**63), content["host"].text())
    except (OSError, UnfitFileError, JsonProblemError):
        return None


def _close(descriptor: int) -> None:
    _held.discard(descriptor)
    os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except OSError:
        return False


def _take(descriptor: int) -> bool | None:
    """Whether the lock was free and is taken; None where there are no locks."""
    try:
        _lock(descriptor)
    except OSError as error:  # systems without locks answer in many ways
        return False if error.errno in _HELD_BY_ANOTHER else None
    return True


if sys.platform == "win32":
    import msvcrt

    # A lock there keeps others from reading, so it lies where no content is.
    _FAR = 1 << 30

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close_inherited() -> None:
        """A forked child would keep the lock for as long as it lives."""
        for descriptor in _held:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _held.clear()

    os.register_at_fork(after_in_child=_close_inherited)
