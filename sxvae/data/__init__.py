"""Data sets by name: one registry over one file per family of sources."""

from __future__ import annotations

from collections.abc import Callable

from sxvae.config import DataSettings
from sxvae.data.digits import load_digits
from sxvae.data.images import ImageData, Split
from sxvae.data.mnist import load_mnist
from sxvae.errors import ConfigError

__all__ = ["DATASETS", "ImageData", "Split", "load_data"]

DATASETS: dict[str, Callable[[DataSettings], ImageData]] = {
    "digits": load_digits,
    "mnist": load_mnist,
}


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
