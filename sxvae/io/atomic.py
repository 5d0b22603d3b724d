"""Write files so that a kill at any moment leaves the old or the new one, whole.

See `sxvae_runtime.files.whole`, whose errors become those of sxvae here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sxvae.errors import OutputError
from sxvae_runtime import errors
from sxvae_runtime.files import whole


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Report a failure to write `path` in the block as one sentence.

    Raises:
        OutputError: if the block raises an OSError.
    """
    with _errors_of_sxvae(), whole.writing(path):
        yield


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace the one that is there.

    Raises:
        OutputError: if the file can't be written; the old one stays, and nothing is left behind.
    """
    with writing(path):
        whole.write_file(path, content)


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        OutputError: if `path` exists, and is no regular file or `force` is not set, as
            `sxvae_runtime.files.whole` says.
    """
    with _errors_of_sxvae():
        whole.refuse_existing(path, force)


@contextlib.contextmanager
def _errors_of_sxvae() -> Iterator[None]:
    try:
        yield
    except errors.OutputError as error:
        raise OutputError(str(error)) from error.__cause__
