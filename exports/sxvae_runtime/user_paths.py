"""Paths as users write them, where no shell has replaced the `~` that stands for a home folder."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae_runtime.errors import SettingError
from sxvae_runtime.text import shown


def user_path(path: str | Path) -> Path:
    """The path with a leading `~` or `~user` replaced by that home folder.

    A name such as `~draft.npy`, which is no user's, is left as it is.

    Raises:
        SettingError: if it is no path, or begins with `~/` and the home folder is not known.
    """
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise SettingError(f"{shown(path)} is no path of a file or folder")
    given = Path(path)
    first = given.parts[0] if given.parts else ""
    if not first.startswith("~"):
        return given
    try:
        return given.expanduser()
    except RuntimeError:
        if first != "~":
            return given
        raise SettingError(
            f"{given}: the home folder that ~ stands for is not known here; set HOME, or write the "
            "path in full"
        ) from None
