"""The folder that keeps compiled code between processes, and the files in it.

It is `kernels/<key>` in the user's cache folder, where the key stands for everything that the
compiled code depends on. Reading such a file runs code from it, so folder and files are trusted
only if they belong to the user and nobody else can write to them.

A file is a SHA-256 of the rest, and the rest. It is written under a temporary name and renamed, so
that processes that work at the same time see whole files only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

import platformdirs

from sxvae.kernels.leftovers import remove_leftovers
from sxvae.kernels.remarks import remark

_DIGEST_SIZE = hashlib.sha256().digest_size
# A key's folder that no process has used for so long is removed when another is made.
_DAYS_KEPT = 30


class DamagedFileError(Exception):
    """A file whose content is not what was written."""


def user_cache() -> Path:
    """The user's cache folder for sxvae; it begins with "~" if the user has no home folder."""
    try:
        return Path(platformdirs.user_cache_dir("sxvae", appauthor=False))
    except RuntimeError:  # older versions of platformdirs return the path with "~" in it
        return Path("~/.cache/sxvae")


@functools.cache
def cache_folder(key: str) -> Path | None:
    """The folder of a key, made if it is not there; None, with a remark, if it can't be used."""
    remove_leftovers()
    folder = user_cache() / "kernels" / key
    try:
        _prepare(folder)
    except OSError as error:
        remark_unusable(folder, error)
        return None
    return folder


def remark_unusable(path: Path, error: OSError) -> None:
    """Say once that compiled code is not kept, and why."""
    remark(
        "cache",
        f"compiled code can't be kept in {path} ({error.strerror or error}), so each process "
        "compiles it again, which takes up to a minute",
    )


def read_file(path: Path) -> bytes | None:
    """What `write_file` wrote, or None if there is no such file.

    Raises:
        DamagedFileError: if the content has changed.
        OSError: if the file can't be read, or another user could have written it.
    """
    try:
        with path.open("rb") as file:
            _check_private(os.fstat(file.fileno()))
            content = file.read()
    except FileNotFoundError:
        return None
    digest, payload = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    if hashlib.sha256(payload).digest() != digest:
        raise DamagedFileError("its content has changed")
    return payload


def write_file(path: Path, payload: bytes) -> None:
    """Write a file, or replace it: at every moment there is the old one, the new one or none.

    Raises:
        OSError: if it can't be written; what was there before stays.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _prepare(folder: Path) -> None:
    """Make the folder, private to the user, and check that it is.

    Raises:
        OSError: if that can't be done.
    """
    if not folder.is_absolute():
        raise FileNotFoundError("the user has no home folder")
    root = folder.parent
    root.parent.mkdir(parents=True, exist_ok=True)
    is_new = not folder.exists()
    for each in (root, folder):
        each.mkdir(mode=0o700, exist_ok=True)
        _check_private(each.stat())
    with contextlib.suppress(OSError):  # a cache that can only be read is of use as well
        os.utime(folder)
    if is_new:
        _remove_unused(root)


def _check_private(status: os.stat_result) -> None:
    """Refuse what belongs to another user, or what others can write to.

    Raises:
        PermissionError: in these cases, which Windows does not tell by owner and mode.
    """
    if os.name == "nt":
        return
    if status.st_uid != os.geteuid():
        raise PermissionError("it belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError("other users can write to it")


def _remove_unused(root: Path) -> None:
    """Remove the folders of keys, of other versions or processors say, that are not used any more.

    A process that still runs with such a key compiles again what it does not find.
    """
    oldest = time.time() - _DAYS_KEPT * 24 * 3_600
    for folder in root.iterdir():
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)
