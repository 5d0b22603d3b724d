"""The folders that hold data sets on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae.config import DataSettings
from sxvae.errors import DataError


def default_data_dir() -> Path:
    """The folder in the environment variable `SXVAE_DATA_DIR`, else the user's cache folder.

    Raises:
        DataError: if it is in the home folder, and the system does not say where that is.
    """
    named = os.environ.get("SXVAE_DATA_DIR")
    if named:
        return _expanded(named)
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "sxvae"


def data_dir(settings: DataSettings) -> Path:
    """The folder that holds the named data sets.

    Raises:
        DataError: if it is in the home folder, and the system does not say where that is.
    """
    return _expanded(settings.data_dir) if settings.data_dir else default_data_dir()


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise DataError(
            f"the folder of data sets is {folder}, and there is no such home folder: name another "
            "with --data-dir or SXVAE_DATA_DIR"
        ) from error


def required_file(settings: DataSettings, name: str, address: str) -> Path:
    """The path of a file that the user has to put into the folder `<data_dir>/<dataset>`.

    Args:
        settings: the data set's settings.
        name: the file's name.
        address: where the user can download it.

    Raises:
        DataError: if the file is not there; the message names file, folder and address.
    """
    folder = data_dir(settings) / settings.dataset
    path = folder / name
    if not path.is_file():
        raise DataError(
            f"{settings.dataset} is not downloaded by itself, and {name} is not in {folder}: put "
            f"it there from {address}, or name the folder that holds {settings.dataset}/ with "
            "--data-dir"
        )
    return path
