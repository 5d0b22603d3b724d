"""Paths as users write them; see `sxvae_runtime.user_paths`."""

from __future__ import annotations

from pathlib import Path

from sxvae.errors import ConfigError
from sxvae_runtime.errors import SettingError
from sxvae_runtime.user_paths import user_path as _user_path


def user_path(path: str | Path) -> Path:
    """The path with a leading `~` or `~user` replaced by that home folder.

    Raises:
        ConfigError: if it is no path, or begins with `~/` and the home folder is not known.
    """
    try:
        return _user_path(path)
    except SettingError as error:
        raise ConfigError(str(error)) from None
