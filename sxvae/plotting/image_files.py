"""The user's own images for a picture, from a NumPy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError
from sxvae.io.array_files import IMAGES, LABELS, read_images_and_labels


@dataclass(frozen=True)
class Images:
    """Images to encode.

    Attributes:
        x: values in [0, 1], float32, shape (n, C, H, W).
        labels: a class for each, shape (n,), or None.
    """

    x: NDArray[np.float32]
    labels: NDArray[Any] | None


def read_images(path: Path, input_shape: tuple[int, ...]) -> Images:
    """Read a .npy file of images, or a .npz or .safetensors file of images `x` and labels `y`.

    Args:
        path: holds arrays (n, C, H, W), or (n, H, W) where C is 1; uint8 is divided by 255, bool is
            0 and 1.
        input_shape: the model's (C, H, W).

    Raises:
        DataError: if the file can't be read, or holds something else.
    """
    arrays = read_images_and_labels(path)
    x, labels = arrays[IMAGES], arrays.get(LABELS)
    if x.ndim == 3 and input_shape[0] == 1:
        x = x[:, None]
    if x.ndim != 4 or len(x) == 0 or x.shape[1:] != input_shape:
        needed = ", ".join(map(str, input_shape))
        raise DataError(f"{path} holds images of the shape {x.shape}; (n, {needed}) is needed")
    if x.dtype == np.bool_:
        x = x.astype(np.float32)
    elif x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    if not np.issubdtype(x.dtype, np.floating) or not ((x >= 0) & (x <= 1)).all():
        raise DataError(
            f"{path} holds images of other values than uint8, bool, or floating point in [0, 1]"
        )
    if labels is not None and labels.shape != (len(x),):
        raise DataError(f"{path} holds labels of the shape {labels.shape}; ({len(x)},) is needed")
    return Images(x.astype(np.float32), labels)
