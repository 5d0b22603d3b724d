"""Writing files and folders whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sxvae.errors import OutputError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a kill at any moment leaves the old file or the new one.

    Raises:
        OutputError: if the file can't be written; nothing is left behind.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        Path(name).unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed `write_atomically` left in `folder`."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        OutputError: if `path` is a folder, or exists and `force` is not set.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file to write")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already; choose another name, or replace it with --force")


@contextlib.contextmanager
def new_folder(path: Path, force: bool, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a folder beside `path` to fill, then move it there by rename.

    If the block raises, nothing is left behind and what was at `path` is as it was.

    Args:
        path: the folder to create.
        force: replace an existing one, provided that it `is_ours`.
        is_ours: whether an existing folder holds what we write there.

    Raises:
        OutputError: if `path` exists and may not be replaced, or can't be written.
    """
    refuse_folder(path, force, is_ours)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())
        for file in staging.rglob("*"):
            _flush(file)
        with moved_aside(path):
            staging.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def moved_aside(path: Path) -> Iterator[None]:
    """Make room at `path` for a folder that the block makes there.

    What was at `path` is deleted after the block. If the block raises, what it made is deleted and
    what was there is put back.
    """
    aside: Path | None = None
    if path.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
        path.replace(aside / path.name)
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if aside is not None:
            (aside / path.name).replace(path)
        raise
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def refuse_folder(path: Path, force: bool, is_ours: Callable[[Path], bool]) -> None:
    """Refuse to replace a folder.

    Raises:
        OutputError: if `path` exists and is not ours, or `force` is not set. An empty folder may be
            taken.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not path.is_dir() or not is_ours(path):
        raise OutputError(
            f"{path} exists and is not one of ours, so it is left alone; name another"
        )
    if not force:
        raise OutputError(f"{path} exists already; choose another name, or replace it with --force")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows can't open folders, and needs no flush of them
        _flush(folder)


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} can't be written ({error.strerror or error}); choose another place")
