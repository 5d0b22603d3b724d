"""Load a data set by its name or path. Each family of sources has a file under `sources/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sxvae.config import CUSTOM, DataSettings
from sxvae.data.images import ImageData
from sxvae.data.sources.digits import DIGITS_LEVELS, load_digits
from sxvae.data.sources.matlab import load_caltech101, load_omniglot
from sxvae.data.sources.paths import is_path, load_path
from sxvae.data.sources.static_mnist import load_static_mnist
from sxvae.data.sources.torchvision_sets import load_torchvision_set
from sxvae.errors import ConfigError, DataError
from sxvae.user_paths import user_path
from sxvae_runtime.levels import DoubtfulScaleError

DATASETS: dict[str, Callable[[DataSettings], ImageData]] = {
    "digits": load_digits,
    "mnist": load_torchvision_set,
    "fashion-mnist": load_torchvision_set,
    "kmnist": load_torchvision_set,
    "static-mnist": load_static_mnist,
    "omniglot": load_omniglot,
    "caltech101": load_caltech101,
}

_LEVELS_OF_BYTES = 256

_ONLY_FOR_PATHS = (
    *("channels_last", "levels", "images_key", "labels_key"),
    *("image_size", "split_seed"),
)


def load_data(settings: DataSettings | str | Path) -> ImageData:
    """Load a data set by its name or path, or as a run's settings say.

    Raises:
        ConfigError: if there is no such data set, or a setting does not apply to it.
        DataError: if its images can't be loaded.

    Example:
        >>> from sxvae import load_data
        >>> load_data("digits").image_shape
        (1, 8, 8)
    """
    if not isinstance(settings, DataSettings):
        settings = DataSettings(dataset=str(settings))
    if settings.dataset in DATASETS:
        _refuse_settings_of_paths(settings)
        # The hash may be a leftover of settings that were once those of a path.
        named = settings.model_copy(update={"content_sha256": None})
        return DATASETS[settings.dataset](named)
    if is_path(settings.dataset):
        return load_path(settings)
    raise ConfigError(
        f"there is no data set {settings.dataset!r}; choose from {', '.join(DATASETS)}, name your "
        "own by its path (./images), or hand your own images over in Python as sxvae.ImageData"
    )


def load_again(
    stored: DataSettings,
    data_dir: str | None = None,
    on_change: Callable[[str], None] | None = None,
) -> ImageData:
    """Load the data set that a stored run was trained on.

    Args:
        stored: the data settings of the run.
        data_dir: the folder to look in; None for the run's own or the usual one.
        on_change: called with a sentence if the images at a path differ from those of the run.

    Raises:
        ConfigError: as `load_data`.
        DataError: as `load_data`, or if the images differ and there is no `on_change`.
    """
    if stored.dataset == CUSTOM:
        raise DataError(
            "the model was trained on images that were handed over in Python and are not kept: "
            "hand them over there again, or name a file with --images where a command takes one"
        )
    settings = relocated(stored, data_dir)
    if stored.content_sha256 is not None and not Path(settings.dataset).exists():
        raise DataError(
            f"the run's images are not at {settings.dataset}: name the folder that holds "
            f"{Path(settings.dataset).name} now with --data-dir"
        )
    data = _with_known_scale(settings)
    loaded = data.settings.content_sha256
    if stored.content_sha256 not in (None, loaded):
        changed = (
            f"the images in {data.settings.dataset} are not those that the model was trained on "
            f"(their SHA-256 begins with {str(loaded)[:12]}, and did with "
            f"{str(stored.content_sha256)[:12]})"
        )
        if on_change is None:
            raise DataError(f"{changed}: put them back, or train another model")
        on_change(changed)
    return data


def _with_known_scale(settings: DataSettings) -> ImageData:
    """Load data whose scale nobody doubted when the run was made: bytes were divided by 255.

    If they are still the same, their hash says so.
    """
    try:
        return load_data(settings)
    except DataError as error:
        if settings.levels is not None or not isinstance(error.__cause__, DoubtfulScaleError):
            raise
        return load_data(settings.model_copy(update={"levels": _LEVELS_OF_BYTES}))


def pixel_levels(settings: DataSettings) -> int | None:
    """How many levels a data set's pixels have, where they are not all that their type can hold."""
    return DIGITS_LEVELS if settings.dataset == "digits" else settings.levels


def relocated(settings: DataSettings, data_dir: str | None = None) -> DataSettings:
    """A stored run's data settings, changed so that they load the data set on this machine.

    A stored folder that does not exist here is dropped, so that the usual folder is used.

    Args:
        settings: as stored, perhaps on another machine.
        data_dir: the folder that the user names now. It takes precedence; of a path, the last part
            is looked for in it.
    """
    if data_dir is not None:
        folder = user_path(data_dir).absolute()
        if settings.content_sha256 is not None:
            moved = str(folder / Path(settings.dataset).name)
            return settings.model_copy(update={"dataset": moved})
        return settings.model_copy(update={"data_dir": str(folder)})
    if settings.data_dir is not None and not Path(settings.data_dir).is_dir():
        return settings.model_copy(update={"data_dir": None})
    return settings


def _refuse_settings_of_paths(settings: DataSettings) -> None:
    for name in _ONLY_FOR_PATHS:
        # Settings of older runs have False in the place of None.
        if getattr(settings, name) not in (DataSettings.model_fields[name].default, False):
            raise ConfigError(
                f"it is for your own images at a path, and the data set {settings.dataset} has a "
                "fixed layout",
                setting=name,
            )
