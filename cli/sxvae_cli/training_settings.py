"""From the options of a training, and perhaps a config.json under them, to settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sxvae.config import ModelSettings, RunSettings
from sxvae.errors import ConfigError
from sxvae.runs.config_file import read_config
from sxvae.spaces import ProductSpace
from sxvae_cli.setting_options import SECTIONS, as_text

_MODEL = ModelSettings(input_shape=(1, 1, 1))  # the shape comes from the data

_Sections = dict[str, dict[str, Any]]


def settings_of(given: dict[str, Any], config: Path | None) -> RunSettings:
    """The settings of a config.json, if one is named, under the options given; validated.

    Args:
        given: the options that the user gave, by their settings' names.
        config: a run's config.json.

    Raises:
        ConfigError: naming the setting that is invalid.
    """
    stored = _stored(config)
    values = _with_space(given, stored)
    _drop_what_no_longer_applies(stored, values)
    sections = {
        name: stored[name] | {k: v for k, v in values.items() if k in section.model_fields}
        for name, section in SECTIONS.items()
    }
    sections["model"].setdefault("input_shape", (1, 1, 1))  # the data decide it
    _refuse_ignored(sections, values)
    return RunSettings.read({name: SECTIONS[name].read(sections[name]) for name in SECTIONS})


def _stored(config: Path | None) -> _Sections:
    if config is None:
        return {name: {} for name in SECTIONS}
    return RunSettings.read(read_config(config)).model_dump()


def _with_space(given: dict[str, Any], stored: _Sections) -> dict[str, Any]:
    """The options with the space that those for it say, and an absolute path of the data."""
    values = dict(given)
    if "z_dims" in values or "distribution" in values:
        space = _space(values.get("z_dims"), values.get("distribution"), stored["model"])
        values |= {"z_dims": space.dims, "distribution": space.families}
    if "data_dir" in values:
        values["data_dir"] = str(Path(values["data_dir"]).absolute())
    return values


def _drop_what_no_longer_applies(stored: _Sections, values: dict[str, Any]) -> None:
    """Drop stored settings that belong to something that an option now replaces."""
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
            raise ConfigError(
                "only a Bernoulli likelihood has images binarised", setting="binarization"
            )
        sections["data"]["binarization"] = "none"
    if "hidden_dims" in values and {model.get("encoder"), model.get("decoder")} == {"cnn"}:
        raise ConfigError("convolutional networks have fixed widths", setting="hidden_dims")


def _space(z_dims: str | None, distribution: str | None, stored: dict[str, Any]) -> ProductSpace:
    """The space of the two options; the one that is not given is taken from what is stored."""
    dims = z_dims if z_dims is not None else as_text(stored.get("z_dims", _MODEL.z_dims))
    try:
        families = ProductSpace.parse(dims).families
    except ConfigError as error:
        raise ConfigError(error.message, setting="z_dims") from None
    kept = tuple(dict.fromkeys(stored.get("distribution", families[:1])))
    if len(kept) > 1:  # each sphere has its own: they fit the stored dimensions only
        kept = tuple(stored["distribution"])
    try:
        return ProductSpace.parse(dims, as_text(kept) if distribution is None else distribution)
    except ConfigError as error:
        raise ConfigError(error.message, setting="distribution") from None
