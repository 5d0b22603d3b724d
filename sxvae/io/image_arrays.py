"""A user's own arrays of images: which values and axes are taken, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError
from sxvae.io.array_files import ArrayFile, read_array_file
from sxvae.io.array_names import NO_KEYS, Keys
from sxvae.io.labels import Labels
from sxvae_runtime import InputError
from sxvae_runtime.inputs import unit_interval
from sxvae_runtime.levels import DATA_SET, FEW_IMAGES, Question, scale_of

# Pixels of more levels are kept as float32, which holds 16 bits exactly enough: 24 of a fraction.
_MOST_OF_A_BYTE = 255


# Only some images may be in a file, and one of the command line's.
_FEW_IN_A_FILE = FEW_IMAGES._replace(spelled=DATA_SET.spelled)


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
        labels: the class of each image, its name if it has one, shape (n,), or None.
        remark: a sentence on how their file was read, if its names are not the usual ones.
    """

    x: NDArray[np.float32]
    labels: NDArray[Any] | None
    remark: str | None = None


def as_pixels(x: NDArray[Any], name: str, levels: int | None, question: Question) -> Pixels:
    """Take an array as pixels: bool, whole numbers, or floating point in [0, 1].

    The rule is that of `sxvae_runtime`. What fits into bytes stays bytes: a quarter of the memory.

    Args:
        x: of any shape.
        name: what messages call it, such as "the array of images in a.npy".
        levels: of pixels that are whole numbers, if somebody said it.
        question: when it is asked which value stands for 1, and how.

    Raises:
        DataError: if the array has another type, values outside [0, 1], or a scale that can't be
            told.
    """
    try:
        if x.dtype.kind in "iu":
            scale = scale_of(x, levels, name, question)
            if scale <= _MOST_OF_A_BYTE:
                return Pixels(x.astype(np.uint8, copy=False), float(scale))
            return Pixels(x.astype(np.float32) / np.float32(scale), 1.0)
        if x.dtype == np.bool_:
            return Pixels(x.astype(np.uint8), 1.0)
        if x.dtype.str.endswith("V2"):
            raise DataError(f"{name} is {x.dtype}, as NumPy writes bfloat16: save it as float32")
        return Pixels(unit_interval(x, name), 1.0)
    except InputError as error:
        raise DataError(str(error)) from error


def whole_numbers(x: NDArray[Any], name: str) -> NDArray[Any]:
    """Pixels whose levels are said, which must be whole numbers; floating point may hold them too.

    Raises:
        DataError: if they are not.
    """
    if x.dtype.kind in "iu":
        return x
    if x.dtype.kind != "f" or not (np.isfinite(x) & (x == np.floor(x))).all():
        raise DataError(
            f"{name} is {x.dtype} and holds no whole numbers, and only these have levels: leave "
            "out --levels"
        )
    return x.astype(np.int64)


def common_levels(arrays: Sequence[NDArray[Any]], name: str) -> int | None:
    """The levels of all splits of a data set, which the brightest says: a small one may be dark.

    Raises:
        DataError: if the scale can't be told.
    """
    first, *others = arrays
    alike = all(array.dtype == first.dtype and array.size for array in arrays)
    if not others or not alike or first.dtype.kind not in "iu":
        return None
    brightest = max(arrays, key=lambda array: int(array.max()))
    try:
        return scale_of(brightest, None, name, DATA_SET) + 1
    except InputError as error:
        raise DataError(str(error)) from error


def looks_channels_last(shape: tuple[int, ...]) -> bool:
    """Whether a shape (n, ?, ?, ?) is rather (n, H, W, C) than (n, C, H, W).

    More than 3 channels are rare, and so are images of a width of at most 4 pixels or below both
    the other sizes.
    """
    _, second, third, last = shape
    return second > 3 and last < second and (last <= 4 or last < third)


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether a shape (n, ?, ?, ?) is rather (n, C, H, W) than (n, H, W, C).

    A height of at most 4 pixels, and more channels than that, are rare.
    """
    _, second, _, last = shape
    return second <= 4 < last


def read_images(
    path: Path,
    input_shape: tuple[int, ...],
    levels: int | None = None,
    keys: Keys = NO_KEYS,
) -> LabelledImages:
    """Read images that a model is to encode; of a file with splits, the test images.

    Args:
        path: a file that `read_array_file` reads. Images have the shape (n, C, H, W), or (n, H, W)
            where C is 1, or (n, H, W, C) where this is another shape than (n, C, H, W).
        input_shape: the model's (C, H, W).
        levels: of pixels that are whole numbers, if the model's are known.
        keys: the names of the arrays, if the user said them.

    Raises:
        DataError: if the file can't be read, or its arrays do not fit the model.
    """
    file = read_array_file(path, keys)
    x, labels = _test_part(file)
    channels, *size = input_shape
    if x.ndim == 3 and channels == 1:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1:] != input_shape and x.shape[1:] == (*size, channels):
        x = np.moveaxis(x, -1, 1)
    if x.ndim != 4 or len(x) == 0 or x.shape[1:] != input_shape:
        needed = ", ".join(map(str, input_shape))
        raise DataError(f"{path} holds images of the shape {x.shape}; (n, {needed}) is needed")
    pixels = as_pixels(x, f"the array of images in {path}", levels, _FEW_IN_A_FILE)
    return LabelledImages(pixels.scaled(), None if labels is None else _named(labels), file.remark)


def _test_part(file: ArrayFile) -> tuple[NDArray[Any], Labels | None]:
    """The test images, or all of a file without splits, or the training images."""
    for split in ("test", None, "train"):
        if split in file.parts:
            return file.parts[split]
    raise AssertionError("a file has images")


def _named(labels: Labels) -> NDArray[Any]:
    if labels.class_names is None:
        return labels.values
    return np.array(labels.class_names)[labels.values]
