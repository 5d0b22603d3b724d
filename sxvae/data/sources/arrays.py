"""A user's own images for training, as an array in a file: .npy, .npz or .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.data.images import Split
from sxvae.errors import DataError
from sxvae.io.array_files import IMAGES, LABELS, read_images_and_labels
from sxvae.io.image_arrays import as_pixels

_FEW_CHANNELS = (1, 3)


def load_arrays(path: Path, channels_last: bool) -> Split:
    """Load the images of a file: uint8, boolean, or floating point in [0, 1].

    Args:
        path: .npy with the images, or .npz or .safetensors with images `x` and perhaps integer
            labels `y`, shape (n,). Images have the shape (n, H, W) or (n, C, H, W).
        channels_last: whether they have the shape (n, H, W, C) instead.

    Raises:
        DataError: if the file can't be read, or its arrays are not images with integer labels.
    """
    arrays = read_images_and_labels(path)
    pixels, scale = as_pixels(_channels_first(arrays[IMAGES], channels_last, path), path)
    labels = _checked_labels(arrays[LABELS], len(pixels), path) if LABELS in arrays else None
    # PyTorch takes arrays that are contiguous and writable.
    return Split(torch.from_numpy(np.require(pixels, requirements=["C", "W"])), scale, labels)


def _channels_first(x: NDArray[Any], channels_last: bool, path: Path) -> NDArray[Any]:
    """The same images with the axes (n, C, H, W)."""
    expected = "(n, H, W, C)" if channels_last else "(n, H, W) or (n, C, H, W)"
    if x.ndim not in ((4,) if channels_last else (3, 4)) or x.size == 0:
        raise DataError(f"the images in {path} have the shape {x.shape} in place of {expected}")
    if x.ndim == 3:
        return x[:, np.newaxis]
    _, second, _, last = x.shape
    if not channels_last and last in _FEW_CHANNELS and second > max(_FEW_CHANNELS):
        raise DataError(
            f"the images in {path} have the shape {x.shape}, with the channels last as it seems: "
            "say so with --channels-last"
        )
    if channels_last and second in _FEW_CHANNELS and last > max(_FEW_CHANNELS):
        raise DataError(
            f"the images in {path} have the shape {x.shape}, with the channels first as it seems: "
            "leave out --channels-last"
        )
    return np.moveaxis(x, -1, 1) if channels_last else x


def _checked_labels(y: NDArray[Any], n: int, path: Path) -> Tensor:
    if y.dtype.kind not in "iub" or y.shape != (n,):
        raise DataError(
            f"the labels 'y' in {path} are of type {y.dtype} and shape {y.shape}: integers of "
            f"shape ({n},), one for each image, are needed"
        )
    return torch.from_numpy(y.astype(np.int64))
