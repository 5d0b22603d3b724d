"""Data sets by name: one registry over one file per family of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sxvae.config import DataSettings
from sxvae.data.digits import load_digits
from sxvae.data.images import ImageData, Split
from sxvae.data.mnist import load_mnist
from sxvae.errors import ConfigError

__all__ = ["DATASETS", "ImageData", "Split", "load_data", "located"]

DATASETS: dict[str, Callable[[DataSettings], ImageData]] = {
    "digits": load_digits,
    "mnist": load_mnist,
}


def located(settings: DataSettings, data_dir: str | None = None) -> DataSettings:
    """A stored run's data settings with the folder to use here.

    Args:
        settings: as stored, perhaps on another machine.
        data_dir: the folder that the user names now; it comes first. A stored folder that does not
            exist here gives way to the environment's or the user's cache folder.
    """
    if data_dir is not None:
        return settings.model_copy(update={"data_dir": str(Path(data_dir).absolute())})
    if settings.data_dir is not None and not Path(settings.data_dir).is_dir():
        return settings.model_copy(update={"data_dir": None})
    return settings


def load_data(settings: DataSettings | str) -> ImageData:
    """Load a data set by its name, or as a run's settings say.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if it can't be had.

    Example:
        >>> from sxvae import load_data
        >>> load_data("digits").image_shape
        (1, 8, 8)
    """
    if isinstance(settings, str):
        settings = DataSettings(dataset=settings)
    if settings.dataset not in DATASETS:
        raise ConfigError(
            f"there is no data set {settings.dataset!r}; choose from {', '.join(DATASETS)}, or "
            "hand your own images over in Python as sxvae.ImageData"
        )
    return DATASETS[settings.dataset](settings)
