"""Read a run's config.json, which may come from somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from sxvae.config import RunSettings
from sxvae.errors import ConfigError
from sxvae.setting_types import Positive, Text
from sxvae.settings import Settings
from sxvae_runtime.files.staging import complete_replacements
from sxvae_runtime.strict_json import parse_json

CONFIG_VERSION = 1
# A config.json has some 3,000 bytes.
_LARGEST = 2**24


class Version(Settings):
    """The one key that files of every version have."""

    format_version: Positive


class _Config(Settings):
    """The types of config.json beside the settings."""

    started: Text = ""
    given: dict[str, Any] = Field(default_factory=dict)


def read_config(path: Path) -> dict[str, Any]:
    """The content of a config.json, checked to be one of ours.

    Raises:
        ConfigError: if it is missing, not JSON, not ours, or of a newer format.
    """
    if not path.parent.exists():
        complete_replacements(path.parent.parent)
    content = _content(path)
    if not isinstance(content, dict) or "format_version" not in content:
        raise ConfigError(f"{path} is not a config.json of sxvae")
    try:
        if Version.read(content).format_version > CONFIG_VERSION:
            raise ConfigError("it was written by a newer sxvae: install that")
        _Config.read(content)
        RunSettings.read(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return content


def _content(path: Path) -> Any:  # noqa: ANN401 (anything that JSON has)
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise ConfigError(f"{path} is no file")
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path} is too large to be a config.json")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror})") from error
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from None
