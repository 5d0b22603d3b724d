"""Write a file so that a kill at any moment leaves the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sxvae_runtime.errors import OutputError
from sxvae_runtime.files.staging import flush_folder, staging


def write_file(path: Path, content: bytes) -> None:
    """Write a file, or replace the one that is there.

    Raises:
        OSError: if it can't be written; the old one stays, and nothing is left behind.
    """
    with staging(path.parent) as stage:
        with stage.new.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with no content
        stage.new.replace(path)
        flush_folder(path.parent)


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


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        OutputError: if `path` exists, and is no regular file or `force` is not set. A link to
            something that is not there, on a disk that is not mounted perhaps, is no file.
    """
    with writing(path):
        exists, is_file = path.exists() or path.is_symlink(), path.is_file()
    if exists and not is_file:
        raise OutputError(f"{path} is no file that can be replaced; name another")
    if exists and not force:
        raise OutputError(f"{path} exists already; choose another name, or replace it with --force")
