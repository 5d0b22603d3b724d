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
from sxvae_runtime.json_values import JsonProblemError, parse_json
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

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
        return parse_json(read_regular_file(path, _LARGEST, links=True))
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror})") from error
    except UnfitFileError as error:
        raise ConfigError(f"{path} {error}") from None
    except JsonProblemError as error:
        raise ConfigError(f"{path}: {error}") from None
