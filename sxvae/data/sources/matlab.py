"""Omniglot and Caltech 101 silhouettes, 28x28, from MATLAB files that the user downloads.

MATLAB stores an image column by column (Fortran order): of its 784 numbers, number k is the pixel
in row k % 28 and column k // 28.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.locations import required_file
from sxvae.data.sources.splitting import shuffled
from sxvae.errors import DataError

_OMNIGLOT = "chardata.mat"
_OMNIGLOT_ADDRESS = "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat"
_OMNIGLOT_VALIDATION = 1_345
_OMNIGLOT_SEED = 0  # a constant, so that all runs have the same splits

_CALTECH = "caltech101_silhouettes_28_split1.mat"
_CALTECH_ADDRESS = f"https://people.cs.umass.edu/~marlin/data/{_CALTECH}"

_SIDE = 28
_PIXELS = _SIDE**2


def load_omniglot(settings: DataSettings) -> ImageData:
    """Load Omniglot as prepared by Burda and others [4]; labels are alphabets.

    Validation is the last 1,345 training images after a shuffle with a constant seed.

    Raises:
        DataError: if the file is missing or damaged, or holds something else.
    """
    path = required_file(settings, _OMNIGLOT, _OMNIGLOT_ADDRESS)
    content = _contents(path, ["data", "testdata"], ["target", "testtarget"])
    training = _omniglot_part(content, "data", "target", path)
    if len(training) <= _OMNIGLOT_VALIDATION:
        raise DataError(
            f"{path} has {len(training):,} training images, and validation takes "
            f"{_OMNIGLOT_VALIDATION:,} of them: download the file again"
        )
    training = training.subset(shuffled(len(training), _OMNIGLOT_SEED))
    cut = len(training) - _OMNIGLOT_VALIDATION
    return ImageData(
        training.subset(slice(cut)),
        training.subset(slice(cut, None)),
        _omniglot_part(content, "testdata", "testtarget", path),
        settings,
    )


def load_caltech101(settings: DataSettings) -> ImageData:
    """Load the silhouettes, inverted: white on black, where the file has black on white.

    Raises:
        DataError: if the file is missing or damaged, or holds something else.
    """
    path = required_file(settings, _CALTECH, _CALTECH_ADDRESS)
    parts = ("train", "val", "test")
    names = [f"{part}_data" for part in parts]
    content = _contents(path, names, [f"{part}_labels" for part in parts])
    train, validation, test = (_caltech_part(content, part, path) for part in parts)
    return ImageData(train, validation, test, settings)


def _omniglot_part(content: dict[str, Any], data: str, target: str, path: Path) -> Split:
    """One part of Omniglot; images and one-hot labels are columns of the file's arrays."""
    grey = _upright(content[data].T, data, path).astype(np.float32)
    if not (np.isfinite(grey).all() and grey.min() >= 0 and grey.max() <= 1):
        raise DataError(f"{data} in {path} holds values outside [0, 1]: download the file again")
    one_hot = content.get(target)
    labels = None if one_hot is None else one_hot.argmax(axis=0)
    return Split(torch.from_numpy(grey), 1.0, _labels(labels, len(grey), target, path))


def _caltech_part(content: dict[str, Any], part: str, path: Path) -> Split:
    """One part of Caltech 101; images are rows of the file's array, and 1 is the background."""
    silhouettes = _upright(content[f"{part}_data"], f"{part}_data", path)
    if not np.isin(silhouettes, (0, 1)).all():
        raise DataError(f"{part}_data in {path} is not binary: download the file again")
    inverted = torch.from_numpy(1 - silhouettes.astype(np.uint8))
    name = f"{part}_labels"
    return Split(inverted, 1.0, _labels(content.get(name), len(inverted), name, path))


def _upright(rows: NDArray[Any], name: str, path: Path) -> NDArray[Any]:
    """Reshape rows (n, 784), each an image in Fortran order, to images (n, 1, 28, 28)."""
    if rows.ndim != 2 or rows.shape[1] != _PIXELS or len(rows) == 0:
        raise DataError(f"{name} in {path} does not hold images of 784 pixels: it is another file")
    columns_first = rows.reshape(-1, 1, _SIDE, _SIDE)
    return np.ascontiguousarray(columns_first.swapaxes(2, 3))


def _labels(values: NDArray[Any] | None, n: int, name: str, path: Path) -> Tensor | None:
    if values is None:
        return None
    if values.size != n:
        raise DataError(f"{name} in {path} has {values.size:,} labels for {n:,} images")
    return torch.from_numpy(values.reshape(n).astype(np.int64))


def _contents(path: Path, needed: list[str], optional: list[str]) -> dict[str, NDArray[Any]]:
    """Read the file's arrays of numbers, by name.

    Raises:
        DataError: if the file can't be read, or lacks an array that is needed.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=[*needed, *optional])
    except Exception as error:  # on damaged files SciPy raises errors without a common base
        raise DataError(
            f"{path} is damaged or no MATLAB file: delete it and download it again"
        ) from error
    arrays = {
        name: value
        for name, value in found.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "buif"
    }
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise DataError(f"{path} holds no images called {missing[0]}: it is another file")
    return arrays
