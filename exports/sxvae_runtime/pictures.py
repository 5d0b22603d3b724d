"""Images side by side as one plain picture. Needs pillow, which the extra `serve` brings."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# Small images are enlarged by a whole factor, so that a picture can be looked at as it is.
_LEGIBLE_SIDE = 32
# White pixels around each image.
GAP = 2

# Every PNG that sxvae writes says so at its beginning, so that it is not taken for somebody's data.
SOFTWARE = "sxvae"
_MARK = b"\0\0\0\x0etEXtSoftware\0" + SOFTWARE.encode()  # 14 bytes of text
_BEGINNING = 256


def image_grid(images: NDArray[Any], columns: int | None = None) -> Image:
    """Images side by side, row by row.

    Args:
        images: values in [0, 1], shape (n, C, H, W) with n >= 1 and C of 1 (grey) or 3 (RGB).
        columns: images in a row; as many as make the grid about square if None.

    Raises:
        InputError: if the shape is another, or a value is not finite.
    """
    from PIL import Image

    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        raise InputError(
            f"a picture needs images of 1 or 3 channels, (n, C, H, W), not {images.shape}"
        )
    if not np.isfinite(images).all():
        raise InputError("the images hold values that are not finite, which can't be drawn")
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


def png_bytes(picture: Image) -> bytes:
    """The picture as a PNG file, which names `SOFTWARE` as its maker."""
    from PIL.PngImagePlugin import PngInfo

    maker = PngInfo()
    maker.add_text("Software", SOFTWARE)
    content = io.BytesIO()
    picture.save(content, format="PNG", pnginfo=maker)
    return content.getvalue()


def is_our_picture(file: Path) -> bool:
    """Whether a file is a PNG that names `SOFTWARE` as its maker.

    Raises:
        OSError: if it can't be read.
    """
    with file.open("rb") as content:
        return _MARK in content.read(_BEGINNING)
