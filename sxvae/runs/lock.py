"""The lock of a run: whoever writes a run holds it. Readers neither need it nor make it.

It is a lock of the operating system on a file in the run's folder, in which the process that holds
it has written itself. When the process ends, killed or not, the lock is free.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from sxvae.errors import OutputError
from sxvae.io.atomic import writing
from sxvae_runtime.files.locks import HeldFile, hold, read_holder

LOCK = ".sxvae-lock"

_ATTEMPTS, _SECONDS_BETWEEN = 10, 0.02

_logger = logging.getLogger("sxvae.runs")


class RunLock:
    """A run's lock, held by this process.

    Args:
        run: the run's folder.
        file: the file in it that is held.
    """

    def __init__(self, run: Path, file: HeldFile) -> None:
        self.run = run
        self._file = file

    def refuse_lost(self) -> None:
        """Refuse to write on, if the run's folder is not at its place any more.

        Raises:
            OutputError: if it was moved, deleted or replaced.
        """
        if self._file.is_ours and not self._file.is_at(self.run / LOCK):
            raise OutputError(
                f"the run {self.run} was moved, deleted or replaced while it was being written, so "
                "nothing more is written; if it was moved, resume it where it is now"
            )

    def release(self) -> None:
        """Let go of the run, and remove the file."""
        if self._file.is_ours:
            with contextlib.suppress(OSError):
                if self._file.is_at(self.run / LOCK):
                    (self.run / LOCK).unlink()
            self._file.let_go()


@contextlib.contextmanager
def locked(run: Path, shown: Path | None = None) -> Iterator[RunLock]:
    """Hold a run's lock for the block.

    Args:
        run: the run's folder.
        shown: what messages call it, if that is another path.

    Raises:
        OutputError: if another process holds it, or the folder can't be written to.
    """
    with writing(shown or run):
        _refuse_foreign(run / LOCK)
        file = _held_soon(run / LOCK)
        if file is None:
            raise _being_written(run, shown or run)
        lock = RunLock(run, file)
        try:
            file.write_holder()
        except BaseException:
            lock.release()
            raise
    if not file.is_locked:
        _logger.warning(
            "the file system of %s has no locks: take care that no second process writes this run",
            shown or run,
        )
    try:
        yield lock
    finally:
        lock.release()


def refuse_locked(run: Path) -> None:
    """Refuse a run that is being written, before any work; nothing is made in its folder.

    Raises:
        OutputError: if another process holds its lock.
    """
    try:
        file = _held_soon(run / LOCK, create=False)
    except OSError:  # there is none, or it is for `locked` to say why it can't be taken
        return
    if file is None:
        raise _being_written(run, run)
    file.let_go()


def _refuse_foreign(path: Path) -> None:
    """Refuse what lies where the lock is to be, and can't be one that we made."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OutputError(f"{path} is no lock of sxvae, which is a file: move it away")


def _held_soon(path: Path, *, create: bool = True) -> HeldFile | None:
    """Hold a file; processes that look whether it is free hold it too, and are waited for."""
    for _ in range(_ATTEMPTS):
        file = hold(path, create=create)
        if file is not None:
            return file
        time.sleep(_SECONDS_BETWEEN)
    return None


def _being_written(run: Path, shown: Path) -> OutputError:
    holder = read_holder(run / LOCK)
    who = "another process" if holder is None else f"process {holder.process} on {holder.host}"
    return OutputError(f"the run {shown} is being written by {who}; wait for it, or stop it")
