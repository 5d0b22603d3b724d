"""Pictures of one size, put into one array one after the other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sxvae.data.sources.pictures import Picture
from sxvae.errors import DataError
from sxvae.io.memory import refuse_beyond_memory
from sxvae_runtime import InputError
from sxvae_runtime.levels import DATA_SET, scale_of

# From 8 bits to 16: 255 becomes 65535.
_TO_SIXTEEN_BITS = 257


class PictureStack:
    """An array of n pictures that begins grey with 8 bits, and grows where a picture has more.

    Whole numbers of up to 16 bits are kept as they are, as uint8 or float32, until it is known
    which of them is white.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._folder = folder
        self._n = n
        self._added = 0
        self._first = ""
        self._largest = 0
        self._deep = False
        self._pixels: NDArray[Any] = np.empty((n, 1, 0, 0), dtype=np.uint8)

    def add(self, file: Path, picture: Picture) -> None:
        """Add the next picture.

        Args:
            file: where it comes from, for messages.
            picture: what was read from it.

        Raises:
            DataError: if it differs in size from the first, or memory does not suffice.
        """
        values = picture.values
        height, width = values.shape[:2]
        described = f"{file.relative_to(self._folder)} ({height}x{width})"
        if self._added == 0:
            self._first = described
            self._pixels = self._room(np.uint8, 1, height, width)
        elif (height, width) != self._pixels.shape[2:]:
            raise DataError(
                f"the images in {self._folder} differ in size, as {self._first} and {described} "
                "do: resize them with --image-size"
            )
        is_deep, channels = values.dtype == np.uint16, 3 if values.ndim == 3 else 1
        if is_deep and not self._deep:
            self._make_deep()
        if channels > self._pixels.shape[1]:
            self._make_colour()
        factor = _TO_SIXTEEN_BITS if self._deep and not is_deep else 1
        self._pixels[self._added] = np.moveaxis(values, -1, 0) if values.ndim == 3 else values
        if factor > 1:
            self._pixels[self._added] *= factor
        self._largest = max(self._largest, picture.largest * factor)
        self._added += 1

    def scaled(self, levels: int | None) -> tuple[NDArray[Any], float]:
        """The pictures, shape (n, C, H, W), and the value in them that stands for 1.

        They are uint8, or float32 with 1 as that value if a picture had 16 bits.

        Args:
            levels: how many there are, if the user said so.

        Raises:
            DataError: if it is doubtful which value stands for 1.
        """
        kind = np.uint16 if self._deep else np.uint8
        name = f"the array of the images in {self._folder}"
        try:
            scale = scale_of(np.array([self._largest], kind), levels, name, DATA_SET)
        except InputError as error:
            raise DataError(str(error)) from error
        if not self._deep:
            return self._pixels, float(scale)
        self._pixels /= np.float32(scale)
        return self._pixels, 1.0

    def _make_deep(self) -> None:
        shallow = self._pixels
        self._pixels = self._room(np.float32, *shallow.shape[1:])
        self._pixels[: self._added] = shallow[: self._added]
        self._pixels[: self._added] *= _TO_SIXTEEN_BITS
        self._largest *= _TO_SIXTEEN_BITS
        self._deep = True

    def _make_colour(self) -> None:
        grey = self._pixels
        self._pixels = self._room(grey.dtype, 3, *grey.shape[2:])
        self._pixels[: self._added] = grey[: self._added]  # repeated over the channels

    def _room(self, kind: DTypeLike, *shape: int) -> NDArray[Any]:
        """An array for all pictures.

        Raises:
            DataError: if it does not fit into memory.
        """
        refuse_beyond_memory(self._folder, self._n * math.prod(shape) * np.dtype(kind).itemsize)
        return np.empty((self._n, *shape), dtype=kind)
