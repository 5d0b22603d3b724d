"""Images side by side as one plain picture. Needs neither PyTorch nor matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import NumericalError
from sxvae.io.atomic import write_atomically
from sxvae.user_paths import user_path
from sxvae_runtime import pictures

if TYPE_CHECKING:
    from PIL.Image import Image


def image_grid(images: NDArray[Any], columns: int | None = None) -> Image:
    """A model's images side by side, row by row, as `sxvae_runtime.pictures.image_grid` draws them.

    Args:
        images: values in [0, 1], shape (n, C, H, W) with n >= 1 and C of 1 (grey) or 3 (RGB).
        columns: images in a row; as many as make the grid about square if None.

    Raises:
        NumericalError: if a value is not finite.
        InputError: if the shape is another.
    """
    if not np.isfinite(images).all():
        raise NumericalError(
            "the images hold values that are not finite: the model's weights have diverged"
        )
    return pictures.image_grid(images, columns)


def save_png(image: Image, path: str | Path) -> None:
    """Write a picture whole or not at all.

    Raises:
        OutputError: if it can't be written.
    """
    write_atomically(user_path(path), pictures.png_bytes(image))
