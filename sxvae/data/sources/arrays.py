"""A user's own images for training, as an array in a file: .npy, .npz or .safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sxvae.config import DataSettings, SplitName
from sxvae.data.images import Split
from sxvae.data.sources.splitting import Loaded
from sxvae.errors import DataError
from sxvae.io.array_files import LabelledArray, read_array_file
from sxvae.io.array_names import Keys
from sxvae.io.image_arrays import (
    as_pixels,
    common_levels,
    looks_channels_first,
    looks_channels_last,
    whole_numbers,
)
from sxvae_runtime.levels import DATA_SET


def load_arrays(path: Path, settings: DataSettings) -> Loaded:
    """Load the images of a file: bool, whole numbers with a scale, or floating point in [0, 1].

    Args:
        path: a file that `read_array_file` reads. Images have the shape (n, H, W) or (n, C, H, W).
        settings: whether they have the shape (n, H, W, C) instead, their levels, and the names of
            the arrays.

    Raises:
        DataError: if the file can't be read, or its arrays are not images with labels.
    """
    file = read_array_file(path, Keys(settings.images_key, settings.labels_key))
    levels = settings.levels or common_levels(
        [part.x for part in file.parts.values()], _named(path)
    )
    splits: dict[SplitName, Split] = {
        name or "train": _split(part, settings.channels_last, levels, path)
        for name, part in file.parts.items()
    }
    return Loaded(splits, () if file.remark is None else (file.remark,))


def _named(path: Path) -> str:
    return f"the array of images in {path}"


def _split(
    part: LabelledArray, channels_last: bool | None, levels: int | None, path: Path
) -> Split:
    x = _channels_first(part.x, channels_last, path)
    if levels is not None:
        x = whole_numbers(x, _named(path))
    pixels, scale = as_pixels(x, _named(path), levels, DATA_SET)
    # PyTorch takes arrays that are contiguous and writable.
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if part.labels is None:
        return Split(tensor, scale)
    labels, class_names = part.labels
    return Split(tensor, scale, torch.from_numpy(labels), class_names)


def _channels_first(x: NDArray[Any], channels_last: bool | None, path: Path) -> NDArray[Any]:
    """The same images with the axes (n, C, H, W)."""
    expected = "(n, H, W, C)" if channels_last else "(n, H, W) or (n, C, H, W)"
    if x.ndim not in ((4,) if channels_last else (3, 4)) or x.size == 0:
        raise DataError(f"the images in {path} have the shape {x.shape} in place of {expected}")
    if x.ndim == 3:
        return x[:, np.newaxis]
    if channels_last is None and looks_channels_last(x.shape):
        raise DataError(
            f"the images in {path} have the shape {x.shape}, with the channels last as it seems: "
            "say so with --channels-last, or with --no-channels-last that they come first"
        )
    if channels_last and looks_channels_first(x.shape):
        raise DataError(
            f"the images in {path} have the shape {x.shape}, with the channels first as it seems: "
            "leave out --channels-last"
        )
    return np.moveaxis(x, -1, 1) if channels_last else x
