"""The folders that hold data sets on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae.config import DataSettings
from sxvae.errors import ConfigError, DataError
from sxvae.kernels.cache_folder import user_cache
from sxvae.user_paths import user_path


def default_data_dir() -> Path:
    """The folder in the environment variable `SXVAE_DATA_DIR`, else the user's cache folder.

    Raises:
        ConfigError: if the home folder is needed and not known.
    """
    named = os.environ.get("SXVAE_DATA_DIR")
    if named:
        return user_path(named)
    try:
        return user_path(user_cache())
    except ConfigError:
        raise ConfigError(
            "there is no home folder for data sets here: name a folder with --data-dir or "
            "SXVAE_DATA_DIR"
        ) from None


def data_dir(settings: DataSettings) -> Path:
    """The folder that holds the named data sets."""
    return Path(settings.data_dir) if settings.data_dir else default_data_dir()


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
