"""A user's own arrays of images: which values are taken, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError
from sxvae.io.array_files import IMAGES, LABELS, read_images_and_labels
from sxvae_runtime import InputError
from sxvae_runtime.inputs import unit_interval


class Pixels(NamedTuple):
    """Pixel values as they are kept in memory, and how they are scaled to [0, 1].

    Attributes:
        values: uint8 or float32.
        scale: the value that stands for 1; dividing by it scales the pixels to [0, 1].
    """

    values: NDArray[Any]
    scale: float

    def scaled(self) -> NDArray[np.float32]:
        """The pixels in [0, 1], float32."""
        return self.values.astype(np.float32, copy=False) / np.float32(self.scale)


@dataclass(frozen=True)
class LabelledImages:
    """Images to encode.

    Attributes:
        x: values in [0, 1], float32, shape (n, C, H, W).
        labels: the class of each image, shape (n,), or None.
    """

    x: NDArray[np.float32]
    labels: NDArray[Any] | None


def as_pixels(x: NDArray[Any], path: Path) -> Pixels:
    """Take an array as pixels: uint8 from 0 to 255, bool, or floating point in [0, 1].

    The rule is that of `sxvae_runtime`. uint8 and bool stay bytes: a quarter of the memory.

    Args:
        x: of any shape.
        path: the file that the array comes from, for messages.

    Raises:
        DataError: if the array has another type, or values outside [0, 1].
    """
    if x.dtype == np.uint8:
        return Pixels(x, 255.0)
    if x.dtype == np.bool_:
        return Pixels(x.astype(np.uint8), 1.0)
    try:
        return Pixels(unit_interval(x, f"the array of images in {path}"), 1.0)
    except InputError as error:
        raise DataError(str(error)) from None


def read_images(path: Path, input_shape: tuple[int, ...]) -> LabelledImages:
    """Read images that a model is to encode.

    Args:
        path: .npy with the images, or .npz or .safetensors with images `x` and perhaps labels `y`.
            Images have the shape (n, C, H, W), or (n, H, W) where C is 1.
        input_shape: the model's (C, H, W).

    Raises:
        DataError: if the file can't be read, or its arrays do not fit the model.
    """
    arrays = read_images_and_labels(path)
    x, labels = arrays[IMAGES], arrays.get(LABELS)
    if x.ndim == 3 and input_shape[0] == 1:
        x = x[:, None]
    if x.ndim != 4 or len(x) == 0 or x.shape[1:] != input_shape:
        needed = ", ".join(map(str, input_shape))
        raise DataError(f"{path} holds images of the shape {x.shape}; (n, {needed}) is needed")
    if labels is not None and labels.shape != (len(x),):
        raise DataError(f"{path} holds labels of the shape {labels.shape}; ({len(x)},) is needed")
    return LabelledImages(as_pixels(x, path).scaled(), labels)
