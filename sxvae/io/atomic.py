"""Write files and folders so that a kill at any moment leaves the old or the new one, whole."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from sxvae.errors import OutputError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report a failure to write `path` in the block as one sentence.

    Raises:
        OutputError: if the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} can't be written ({reason}); choose another place") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace the one that is there.

    Raises:
        OutputError: if the file can't be written; the old one stays, and nothing is left behind.
    """
    with writing(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(path)
            _flush_folder(path.parent)
        finally:
            Path(name).unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files that a killed `write_atomically` left in `folder`."""
    for leftover in folder.glob(".*.tmp"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        OutputError: if `path` exists, and is no regular file or `force` is not set.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise OutputError(f"{path} is no file that can be replaced; name another")
    if not force:
        raise OutputError(f"{path} exists already; choose another name, or replace it with --force")


def refuse_folder(path: Path, force: bool, is_ours: Callable[[Path], bool]) -> None:
    """Refuse to replace a folder.

    A folder that is empty, or holds only what a killed `write_atomically` left, is not refused.

    Args:
        path: the folder to replace.
        force: whether the user asked to replace it.
        is_ours: whether a folder holds what we write there.

    Raises:
        OutputError: if `path` exists and is not ours, or `force` is not set.
    """
    if not path.exists():
        return
    if path.is_dir() and all(fnmatch(entry.name, ".*.tmp") for entry in path.iterdir()):
        return
    if not path.is_dir() or not is_ours(path):
        raise OutputError(
            f"{path} exists and is not one of ours, so it is left alone; name another"
        )
    if not force:
        raise OutputError(f"{path} exists already; choose another name, or replace it with --force")


@contextlib.contextmanager
def parents_made(path: Path) -> Iterator[None]:
    """Make the missing folders above `path`, and remove them again if the block raises."""
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@contextlib.contextmanager
def new_folder(path: Path, force: bool, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a temporary folder to fill in the block, then rename it to `path`.

    If the block raises, nothing is left behind and what was at `path` stays as it was.

    Args:
        path: the folder to create.
        force: replace an existing folder, provided that it `is_ours`.
        is_ours: whether a folder holds what we write there.

    Raises:
        OutputError: if `path` exists and may not be replaced, or can't be written.
    """
    refuse_folder(path, force, is_ours)
    path = path.resolve()
    with writing(path), parents_made(path), _beside(path, "tmp") as staging:
        filled = staging / path.name
        filled.mkdir()
        yield filled
        for file in filled.rglob("*"):
            _flush(file)
        with moved_aside(path):
            filled.replace(path)
        _flush_folder(path.parent)


@contextlib.contextmanager
def moved_aside(path: Path) -> Iterator[None]:
    """Move what is at `path` aside, for a folder that the block makes there.

    What was moved aside is deleted after the block. If the block raises, what it made is deleted
    and the old folder is moved back.
    """
    if not path.exists():
        try:
            yield
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return
    with _beside(path, "old") as aside:
        path.replace(aside / path.name)
        try:
            yield
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            (aside / path.name).replace(path)
            raise


@contextlib.contextmanager
def _beside(path: Path, suffix: str) -> Iterator[Path]:
    """A hidden folder beside `path` for the block; those that a kill left there are deleted."""
    prefix = f".{path.name}."
    for leftover in path.parent.glob(f"{glob.escape(prefix)}*.{suffix}"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=f".{suffix}", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
