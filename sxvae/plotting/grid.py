"""A plain grid of images as one picture, drawn without matplotlib."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError, NumericalError
from sxvae.io.atomic import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

# Images with a shorter side are enlarged by a whole factor, so that they are legible.
_LEGIBLE_SIDE = 32
# White pixels around each image.
GAP = 2


def image_grid(images: NDArray[Any], columns: int | None = None) -> Image:
    """Draw images side by side, row by row.

    Args:
        images: values in [0, 1], shape (n, C, H, W) with n >= 1 and C of 1 (grey) or 3 (RGB).
        columns: images in a row; None chooses about as many columns as rows.

    Raises:
        NumericalError: if a value is not finite.
        DataError: if the array has another shape.
    """
    from PIL import Image

    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        raise DataError(
            f"a picture needs images of 1 or 3 channels, (n, C, H, W), not {images.shape}"
        )
    if not np.isfinite(images).all():
        raise NumericalError(
            "the images hold values that are not finite: the model's weights have diverged"
        )
    n, channels, height, width = images.shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    zoom = max(1, math.ceil(_LEGIBLE_SIDE / min(height, width)))
    cell = (height * zoom + GAP, width * zoom + GAP)
    canvas = np.full((rows * cell[0] + GAP, columns * cell[1] + GAP, channels), 255, np.uint8)
    pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    enlarged = pixels.transpose(0, 2, 3, 1).repeat(zoom, axis=1).repeat(zoom, axis=2)
    for i, image in enumerate(enlarged):
        top, left = (i // columns) * cell[0] + GAP, (i % columns) * cell[1] + GAP
        canvas[top : top + height * zoom, left : left + width * zoom] = image
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def save_png(image: Image, path: Path) -> None:
    """Write a picture as PNG, whole or not at all.

    Raises:
        OutputError: if it can't be written.
    """
    content = io.BytesIO()
    image.save(content, format="PNG")
    write_atomically(path, content.getvalue())
