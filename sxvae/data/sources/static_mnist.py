"""MNIST as binarised once by Larochelle, from text files that the user downloads.

Each line is an image: 784 numbers 0 or 1 with spaces between them. Reading the text takes seconds,
so that its images are cached beside it as safetensors.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.locations import required_file
from sxvae.data.sources.cache import cached_bits
from sxvae.errors import DataError

_ADDRESS = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
_IMAGES = {"train": 50_000, "valid": 10_000, "test": 10_000}
_SIDE = 28


def load_static_mnist(settings: DataSettings) -> ImageData:
    """Load the images, split 50,000 / 10,000 / 10,000; there are no labels.

    Raises:
        DataError: if a file is missing, damaged or incomplete.
    """
    names = {part: f"binarized_mnist_{part}.amat" for part in _IMAGES}
    paths = {part: required_file(settings, name, _ADDRESS + name) for part, name in names.items()}
    train, validation, test = (_load(paths[part], n) for part, n in _IMAGES.items())
    return ImageData(train, validation, test, settings)


def _load(path: Path, images: int) -> Split:
    # A download that broke off between two lines does not look damaged, so the images are counted.
    bits = cached_bits(path, lambda content: parse_amat(content, path))
    if len(bits) != images:
        raise DataError(
            f"{path} has {len(bits):,} images in place of {images:,}: download it again"
        )
    return Split(torch.from_numpy(bits).view(images, 1, _SIDE, _SIDE), 1.0)


def parse_amat(content: bytes, path: Path) -> NDArray[np.uint8]:
    """Parse a text file's images: zeros and ones, shape (lines, 784).

    Args:
        content: the file's bytes; lines may end in spaces, or with Windows' line ends.
        path: the file's path, for messages.

    Raises:
        DataError: if a line is not 784 numbers 0 or 1.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy only warns if a file has no numbers
            bits: NDArray[np.uint8] = np.loadtxt(
                io.BytesIO(content), dtype=np.uint8, comments=None, ndmin=2
            )
    except (ValueError, Warning) as error:
        raise _damaged(path) from error
    if bits.shape[1] != _SIDE**2 or bits.max() > 1:
        raise _damaged(path)
    return bits


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path} does not hold lines of 784 numbers 0 or 1 with spaces between them: download it "
        "again"
    )
