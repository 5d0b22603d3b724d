"""Make and replace folders so that the old or the new one is there, whole, at every moment."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sxvae.errors import OutputError
from sxvae.io.atomic import writing
from sxvae.io.exchange import exchange
from sxvae_runtime.files.staging import Staging, complete_replacements, flush_folder, staging

IsOurs = Callable[[Path], bool]
# Held while an old folder is replaced; it raises if that is not allowed now.
Guard = Callable[[Path], contextlib.AbstractContextManager[object]]

_ATTEMPTS = 100
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def refuse_folder(path: Path, force: bool, is_ours: IsOurs) -> None:
    """Refuse to replace a folder, unless it is empty.

    A link to a folder stands for the folder.

    Args:
        path: the folder to replace.
        force: whether the user asked to replace it.
        is_ours: whether a folder holds what we write there.

    Raises:
        OutputError: if `path` exists and is not ours, or `force` is not set, or it can't be
            replaced because a file system is mounted there or the process works inside it.
    """
    for _ in range(_ATTEMPTS):
        seen = _identity(path)
        try:
            _refuse_as_it_is(path, force, is_ours)
        except OutputError:
            if _identity(path) == seen:
                raise
        else:
            return
    raise OutputError(f"{path} is being replaced by others all the time; name another")


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a folder from the one that another process puts in its place."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refuse_as_it_is(path: Path, force: bool, is_ours: IsOurs) -> None:
    """`refuse_folder`, mistaken if the folder is replaced while it is looked at."""
    with writing(path):
        refuse_dangling_links(path)
        complete_replacements(path.resolve().parent)
        if not path.exists():
            return
        is_empty = path.is_dir() and _is_empty(path)
        if not is_empty and not (path.is_dir() and is_ours(path)):
            raise OutputError(
                f"{path} exists and is not one of ours, so it is left alone; name another"
            )
        if not is_empty and not force:
            raise OutputError(
                f"{path} exists already; choose another name, or replace it with --force"
            )
        if path.is_mount():
            raise OutputError(
                f"{path} is where a file system is mounted, so it can't be replaced; name a folder "
                "inside it"
            )
        if _holds_working_directory(path):
            raise OutputError(
                f"{path} can't be replaced from inside it; start the command in another folder"
            )


def refuse_dangling_links(path: Path) -> None:
    """Refuse to make folders where a link points, to a disk that is not mounted perhaps.

    Raises:
        OutputError: if `path` or a folder above is a link to something that is not there.
    """
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            raise OutputError(
                f"{link} is a link to something that is not there; remove it, or name another"
            )


@contextlib.contextmanager
def new_folder(path: Path, force: bool, is_ours: IsOurs) -> Iterator[Path]:
    """Yield a temporary folder to fill in the block, then put it in place at `path`.

    If the block raises, nothing is left behind and what was at `path` stays as it was.

    Args:
        path: the folder to create.
        force: replace an existing folder, provided that it `is_ours`.
        is_ours: whether a folder holds what we write there.

    Raises:
        OutputError: if `path` exists and may not be replaced, or can't be written.
    """
    refuse_folder(path, force, is_ours)
    with writing(path), staged_beside(path.resolve()) as stage:
        stage.new.mkdir()
        yield stage.new
        put_in_place(stage, path, force, is_ours)


@contextlib.contextmanager
def staged_beside(path: Path) -> Iterator[Staging]:
    """A staging folder beside `path` for the block, and the missing folders above.

    If the block raises, the folders that were made here are removed, unless others use them.

    Raises:
        OSError: if it can't be made.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            stack.enter_context(parents_made(path))
            try:
                stage = stack.enter_context(staging(path.parent))
            except FileNotFoundError:
                continue  # another process made the folder above, and removed it again
            yield stage
            return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def put_in_place(
    stage: Staging,
    path: Path,
    force: bool,
    is_ours: IsOurs,
    guard: Guard = contextlib.nullcontext,
) -> None:
    """Put the new folder of a staging folder in place at `path`, in one step.

    Two processes may come to this at the same time: without `force` the second is refused.

    Args:
        stage: holds what is to be at `path`.
        path: the place.
        force: replace an existing folder, provided that it `is_ours`.
        is_ours: whether a folder holds what we write there.
        guard: held for the folder that is replaced.

    Raises:
        OutputError: if something is there that may not be replaced.
        OSError: if that can't be done.
    """
    for entry in (*stage.new.rglob("*"), stage.new):
        _flush(entry)
    place = path.resolve()
    for _ in range(_ATTEMPTS):
        if _renamed(stage.new, place):
            break
        refuse_folder(path, force, is_ours)
        with contextlib.suppress(OSError):
            place.rmdir()  # Windows renames to no folder that is there, not to an empty one either
            continue
        try:
            with guard(place):
                if exchange(stage.new, place) or _replaced_in_two_steps(stage, place):
                    break
        except FileNotFoundError:
            continue  # another process has moved it just now, and perhaps put its own there
        except OutputError:
            if place.exists():  # else another process has moved or deleted it just now
                raise
    else:
        raise OutputError(f"{path} is being replaced by others all the time; name another")
    flush_folder(place.parent)


def _renamed(folder: Path, place: Path) -> bool:
    """Rename a folder to a place where nothing is, or an empty folder; False if something is."""
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _replaced_in_two_steps(stage: Staging, place: Path) -> bool:
    """What `exchange` does; whoever looks there after a kill between the steps completes them.

    Returns:
        Whether it was done; False if another process took the place between the steps.
    """
    stage.begin_replacing(place)
    try:
        place.rename(stage.old)
        done = _renamed(stage.new, place)
    except BaseException:
        if stage.old.exists() and not place.exists():
            stage.old.rename(place)
        raise
    if not done:
        stage.drop_replaced()
    return done


@contextlib.contextmanager
def parents_made(path: Path) -> Iterator[None]:
    """Make the missing folders above `path`; if the block raises, remove what was made here."""
    made: list[Path] = []
    try:
        for folder in reversed(path.parents):
            if not folder.exists():
                with contextlib.suppress(FileExistsError):  # made by another process just now
                    folder.mkdir()
                    made.append(folder)
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _is_empty(path: Path) -> bool:
    with os.scandir(path) as entries:
        return next(entries, None) is None


def _holds_working_directory(path: Path) -> bool:
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return False
    return here.is_relative_to(path.resolve())


def _flush(path: Path) -> None:
    if path.is_dir():
        flush_folder(path)
    elif path.is_file():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
