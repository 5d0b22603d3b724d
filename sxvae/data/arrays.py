"""A user's own images as an array in a file: .npy, .npz or .safetensors."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sxvae.data.images import Split
from sxvae.errors import DataError

_Arrays = dict[str, NDArray[Any]]
_IMAGES, _LABELS = "x", "y"
_FEW_CHANNELS = (1, 3)


def load_arrays(path: Path, channels_last: bool) -> Split:
    """Images of a file: uint8, boolean, or floating point in [0, 1].

    Args:
        path: .npy with the images, or .npz or .safetensors with images `x` and perhaps integer
            labels `y`, shape (n,). Images have the shape (n, H, W) or (n, C, H, W).
        channels_last: whether they have the shape (n, H, W, C) instead.

    Raises:
        DataError: if the file can't be read, or what it holds can't be images.
    """
    arrays = _contents(path)
    if _IMAGES not in arrays:
        raise DataError(
            f"{path} holds {', '.join(map(repr, arrays)) or 'nothing'}: images must be called 'x', "
            "and labels, if there are any, 'y'"
        )
    pixels, scale = _scaled(_ordered(arrays[_IMAGES], channels_last, path), path)
    labels = _checked_labels(arrays[_LABELS], len(pixels), path) if _LABELS in arrays else None
    return Split(torch.from_numpy(np.require(pixels, requirements=["C", "W"])), scale, labels)


def _ordered(x: NDArray[Any], channels_last: bool, path: Path) -> NDArray[Any]:
    """With the axes (n, C, H, W)."""
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


def _scaled(x: NDArray[Any], path: Path) -> tuple[NDArray[Any], float]:
    """The pixels as they are kept, and the value that stands for 1."""
    if x.dtype == np.uint8:
        return x, 255.0
    if x.dtype == np.bool_:
        return x.astype(np.uint8), 1.0
    if x.dtype.kind != "f":
        raise DataError(
            f"the images in {path} are of type {x.dtype}: uint8 (0 to 255), bool, or floating "
            "point in [0, 1] is needed"
        )
    # What overflows becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        grey = x.astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"the images in {path} hold values that are not finite")
    if low < 0 or high > 1:
        raise DataError(
            f"the images in {path} have values from {low:g} to {high:g}: floating point must lie "
            "in [0, 1], and 0 to 255 is for uint8"
        )
    return grey, 1.0


def _checked_labels(y: NDArray[Any], n: int, path: Path) -> Tensor:
    if y.dtype.kind not in "iub" or y.shape != (n,):
        raise DataError(
            f"the labels 'y' in {path} are of type {y.dtype} and shape {y.shape}: integers of "
            f"shape ({n},), one for each image, are needed"
        )
    return torch.from_numpy(y.astype(np.int64))


def _contents(path: Path) -> _Arrays:
    suffix = path.suffix.lower()
    try:
        return _READERS[suffix](path)
    except MemoryError as error:
        raise DataError(f"{path} does not fit into this machine's memory") from error
    except OSError as error:
        if error.strerror:
            raise DataError(f"{path} can't be read ({error.strerror})") from error
        raise _damaged(path) from error
    except (
        *(EOFError, LookupError, TypeError, ValueError, NotImplementedError),
        *(SafetensorError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path} is damaged, or no {path.suffix.lower()} file of plain numbers (pickled objects "
        "are never loaded)"
    )


def _read_npy(path: Path) -> _Arrays:
    with path.open("rb") as file:
        return {_IMAGES: _array(np.load(file, allow_pickle=False))}


def _read_npz(path: Path) -> _Arrays:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("not an archive")
        if _IMAGES not in archive:  # others may be large: only their names matter
            return {name: np.empty(0) for name in archive.files}
        return {name: _array(archive[name]) for name in (_IMAGES, _LABELS) if name in archive}


def _array(loaded: object) -> NDArray[Any]:
    """What NumPy loaded, if that is an array: it may be an archive of them, or bytes."""
    if not isinstance(loaded, np.ndarray):
        raise ValueError("not an array")
    return loaded


def _read_safetensors(path: Path) -> _Arrays:
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        if _IMAGES not in names:
            return {name: np.empty(0) for name in names}
        return {name: file.get_tensor(name) for name in (_IMAGES, _LABELS) if name in names}


_READERS: dict[str, Callable[[Path], _Arrays]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
