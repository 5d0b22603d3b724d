"""Staging folders: what is written takes shape there, and is renamed to its place when it is whole.

A staging folder lies beside the place, on the same file system. Its name has a mark and a checksum,
so that it can't be a user's. It holds:

    owner       a file with our signature, which the process that works there keeps locked
    new         the file or folder that takes shape
    old         what was at the place, while two renames stand for one exchange
    replacing   names the place, during the same

What a killed process left is removed by the next that writes beside it: if the name is one of ours,
the owner's lock is free, and nothing but the above is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sxvae_runtime.files.locks import HeldFile, hold
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

MARK = ".sxvae-tmp-"
_SIGNATURE = "A temporary folder of sxvae, removed by it.\n"
_OWNER, _NEW, _OLD, _REPLACING = _ENTRIES = ("owner", "new", "old", "replacing")
_ATTEMPTS = 1_000
# In bytes, of what names the place.
_LONGEST_NAME = 4_096

_logger = logging.getLogger("sxvae_runtime.files")


@dataclass(frozen=True)
class Staging:
    """A staging folder that this process works in.

    Attributes:
        path: the folder.
        code: the part of its name by which it differs from every other one beside it.
        owner: its locked file.
    """

    path: Path
    code: str
    owner: HeldFile

    @property
    def new(self) -> Path:
        """The file or folder that takes shape; it is not there at first."""
        return self.path / _NEW

    @property
    def old(self) -> Path:
        """Where to move what is at the place, if the two can't be exchanged at once."""
        return self.path / _OLD

    def begin_replacing(self, place: Path) -> None:
        """Note durably that `place` is about to move to `old`, and `new` to take its place.

        Raises:
            OSError: if it can't be written.
        """
        with (self.path / _REPLACING).open("wb") as file:
            file.write(os.fsencode(place.name))
            file.flush()
            os.fsync(file.fileno())
        flush_folder(self.path)

    def drop_replaced(self) -> None:
        """Remove what was moved to `old`, because something else has taken its place."""
        _remove_tree(self.path / _REPLACING)
        _remove_tree(self.old)

    def remove(self) -> None:
        """Remove the folder and all in it; a forked child leaves its parent's alone."""
        if self.owner.is_ours and _complete(self.path):
            _remove(self.path, self.owner)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Staging]:
    """A staging folder in `folder` for the block; those that a kill left there are removed.

    Raises:
        OSError: if it can't be made.
    """
    clear_leftovers(folder)
    made = _make(folder)
    try:
        yield made
    finally:
        made.remove()


def clear_leftovers(folder: Path) -> None:
    """Complete replacements that a kill cut short in `folder`, and remove its staging folders."""
    for path in _staging_folders(folder):
        with _abandoned(path) as owner:
            if owner is not None and _complete(path):
                _remove(path, owner)


def complete_replacements(folder: Path) -> None:
    """Complete replacements that a kill cut short in `folder`, and say so; nothing is removed."""
    for path in _staging_folders(folder):
        if (path / _REPLACING).exists():
            with _abandoned(path) as owner:
                if owner is not None:
                    _complete(path)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if os.name == "posix":  # Windows can't open folders, and needs no flush of them
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name(code: str) -> str:
    check = hashlib.sha256(f"sxvae {code}".encode()).hexdigest()[:8]
    return f"{MARK}{code}-{check}"


def _is_name(name: str) -> bool:
    code, dash, _ = name.removeprefix(MARK).rpartition("-")
    return name.startswith(MARK) and bool(dash) and name == _name(code)


def _make(folder: Path) -> Staging:
    """Make a staging folder and lock it.

    Another process may find it before it is locked, and remove it; then there is another attempt.
    """
    for _ in range(_ATTEMPTS):
        code = os.urandom(3).hex()
        path = folder / _name(code)
        try:
            path.mkdir()
        except FileExistsError:
            continue
        try:
            owner = hold(path / _OWNER)
        except FileNotFoundError:
            continue
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        if owner is not None:
            made = Staging(path, code, owner)
            try:
                owner.write(_SIGNATURE)
            except BaseException:
                made.remove()
                raise
            return made
    raise FileExistsError(f"{folder} takes no temporary folder")


def _staging_folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if _is_name(entry.name)]
    except OSError:
        return []


@contextlib.contextmanager
def _abandoned(path: Path) -> Iterator[HeldFile | None]:
    """Hold a staging folder whose process has ended; None if it lives, or not all there is ours."""
    owner = None
    with contextlib.suppress(OSError):
        owner = _owner_of_abandoned(path)
    try:
        yield owner
    except OSError as error:
        _logger.debug("%s is left as it is: %s", path, error)
    finally:
        if owner is not None:
            owner.let_go()


def _owner_of_abandoned(path: Path) -> HeldFile | None:
    if path.is_symlink() or not path.is_dir():
        return None
    names = {entry.name for entry in path.iterdir()}
    if not names:
        path.rmdir()  # killed before it had an owner, or after it had none any more
        return None
    if _OWNER not in names or not names <= set(_ENTRIES):
        return None
    owner = hold(path / _OWNER, create=False)
    if owner is not None and owner.is_locked:
        content = (path / _OWNER).read_bytes()
        if content == _SIGNATURE.encode() or (content == b"" and names == {_OWNER}):
            return owner
    if owner is not None:
        owner.let_go()
    return None


def _complete(path: Path) -> bool:
    """Complete the replacement that was cut short in a staging folder, if one was.

    Returns:
        Whether what is in the folder is not needed any more.
    """
    note, new, old = path / _REPLACING, path / _NEW, path / _OLD
    if not (note.exists() and new.exists() and old.exists()):
        return True
    try:
        place = path.parent / os.fsdecode(read_regular_file(note, _LONGEST_NAME))
    except (OSError, UnfitFileError):
        return False
    if place.parent != path.parent:
        return False
    if place.exists() or place.is_symlink():  # somebody else has put something there
        _logger.warning(
            "%s was being replaced when the process was killed, and is something else now: what it "
            "held is in %s, and what was to replace it in %s",
            place,
            old,
            new,
        )
        return False
    new.rename(place)
    flush_folder(place.parent)
    _logger.warning(
        "%s was being replaced when the process was killed: the new one is in its place now", place
    )
    return True


def _remove(path: Path, owner: HeldFile) -> None:
    """Remove a staging folder; the owner's file last, by which the folder is known to be ours."""
    for name in (_REPLACING, _NEW, _OLD):
        _remove_tree(path / name)
    with contextlib.suppress(OSError):
        if [entry.name for entry in path.iterdir()] == [_OWNER] and owner.is_at(path / _OWNER):
            (path / _OWNER).unlink()
    owner.let_go()
    with contextlib.suppress(OSError):
        path.rmdir()


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
