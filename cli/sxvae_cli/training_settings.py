"""From the options of a training, and perhaps a config.json under them, to settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sxvae.config import DataSettings, ModelSettings, RunSettings, Settings, TrainingSettings
from sxvae.errors import ConfigError
from sxvae.runs.directory import read_config
from sxvae.spaces import ProductSpace
from sxvae_cli.training_options import as_text

_MODEL = ModelSettings(input_shape=(1, 1, 1))  # the shape comes from the data
_KINDS: dict[str, type[Settings]] = {
    "model": ModelSettings,
    "data": DataSettings,
    "training": TrainingSettings,
}

_WITHOUT_OPTION = {"input_shape", "own_networks", "content_sha256"}

_Sections = dict[str, dict[str, Any]]


def settings_of(given: dict[str, Any], config: Path | None) -> RunSettings:
    """The settings of a config.json, if one is named, under the options given; validated.

    Args:
        given: the options that the user gave, by their settings' names.
        config: a run's config.json.

    Raises:
        ConfigError: naming the option or setting that can't be.
    """
    stored = _stored(config)
    values = _parsed(given, stored)
    _drop_what_no_longer_applies(stored, values)
    sections = {
        name: stored[name] | {k: v for k, v in values.items() if k in kind.model_fields}
        for name, kind in _KINDS.items()
    }
    sections["model"].setdefault("input_shape", (1, 1, 1))  # the data decide it
    _refuse_ignored(sections, values)
    return RunSettings.read({name: _KINDS[name].read(sections[name]) for name in _KINDS})


def _stored(config: Path | None) -> _Sections:
    if config is None:
        return {name: {} for name in _KINDS}
    try:
        return RunSettings.read(read_config(config)).model_dump()
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if str(config) in message else f"{config}: {message}") from None


def _parsed(given: dict[str, Any], stored: _Sections) -> dict[str, Any]:
    """The options as settings have them."""
    values = dict(given)
    if "z_dims" in values or "distribution" in values:
        space = _space(values.get("z_dims"), values.get("distribution"), stored["model"])
        values |= {"z_dims": space.dims, "distribution": space.families}
    if "hidden_dims" in values:
        values["hidden_dims"] = _widths(values["hidden_dims"])
    if "gaussian_scale" in values:
        values["gaussian_scale"] = _scale(values["gaussian_scale"])
    if "image_size" in values:
        values["image_size"] = _size(values["image_size"])
    if "data_dir" in values:
        values["data_dir"] = str(Path(values["data_dir"]).absolute())
    return values


def _drop_what_no_longer_applies(stored: _Sections, values: dict[str, Any]) -> None:
    """What a config.json has only for something that an option now replaces."""
    model, data = stored["model"], stored["data"]
    if "dataset" in values:
        for key in data.keys() - {"dataset", "binarization"}:
            del data[key]
    if values.get("likelihood", "gaussian") != "gaussian":
        model.pop("gaussian_scale", None)
    if values.get("likelihood") == "bernoulli":
        data.pop("binarization", None)  # "none" is what another likelihood has
    families = values.get("distribution", ())
    if families and "normal" not in families:
        model.pop("covariance", None)
    if families and set(families) == {"normal"}:
        model.pop("learn_radius", None)


def _refuse_ignored(sections: _Sections, values: dict[str, Any]) -> None:
    """Refuse options without effect; a likelihood that is not Bernoulli settles binarisation."""
    model = sections["model"]
    if model.get("likelihood", "bernoulli") != "bernoulli":
        if values.get("binarization", "none") != "none":
            raise ConfigError("--binarization: only a Bernoulli likelihood has images binarised")
        sections["data"]["binarization"] = "none"
    if "hidden_dims" in values and {model.get("encoder"), model.get("decoder")} == {"cnn"}:
        raise ConfigError("--h-dims: convolutional networks have widths of their own")


def by_options(message: str) -> str:
    """A complaint about settings with the options' names in place of theirs."""
    names = {name for kind in _KINDS.values() for name in kind.model_fields} - _WITHOUT_OPTION

    def option(match: re.Match[str]) -> str:
        name = match.group()
        return flag(name) if name in names and "_" in name else name

    message = re.sub(r"[a-z_]+", option, message)
    first, colon, rest = message.partition(": ")
    return f"{flag(first)}{colon}{rest}" if first in names else message


def flag(setting: str) -> str:
    """The option that gives a setting."""
    return "--h-dims" if setting == "hidden_dims" else f"--{setting.replace('_', '-')}"


def _space(z_dims: str | None, distribution: str | None, stored: dict[str, Any]) -> ProductSpace:
    """The space that the two options say; what one leaves out comes from what is stored."""
    dims = z_dims if z_dims is not None else as_text(stored.get("z_dims", _MODEL.z_dims))
    try:
        families = ProductSpace.parse(dims).families
    except ConfigError as error:
        raise ConfigError(f"--z-dims: {error}") from None
    kept = tuple(dict.fromkeys(stored.get("distribution", families[:1])))
    if len(kept) > 1:  # each sphere has its own: they fit the stored dimensions only
        kept = tuple(stored["distribution"])
    try:
        return ProductSpace.parse(dims, distribution or as_text(kept))
    except ConfigError as error:
        raise ConfigError(f"--distribution: {error}") from None


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]+", part) and int(part) > 0 for part in parts):
        raise ConfigError(f"--h-dims: {text!r} is not a list of widths such as 256,128")
    return tuple(int(part) for part in parts)


def _scale(text: str) -> float | str:
    if text == "learned":
        return text
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--gaussian-scale: {text!r} is neither a number nor learned") from None


def _size(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 2 or not all(re.fullmatch(r"[0-9]+", p) and int(p) > 0 for p in parts):
        raise ConfigError(f"--image-size: {text!r} is not a size such as 28 or 28,32 (H,W)")
    return tuple(int(part) for part in (parts * 2)[:2])
