"""Read the arrays of images and labels in a .npy, .npz or .safetensors file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sxvae.errors import DataError

Arrays = dict[str, NDArray[Any]]

IMAGES, LABELS = "x", "y"


def read_images_and_labels(path: Path) -> Arrays:
    """Read the images `x` and, where the file has them, the labels `y`.

    The one array of a .npy file is `x`. Other arrays of a file are not read.

    Raises:
        DataError: if the file can't be read, has another suffix, or holds no `x`.
    """
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise DataError(f"{path} is no file of arrays: {', '.join(_READERS)} can be read")
    arrays = _contents(path, _READERS[suffix])
    if IMAGES not in arrays:
        raise DataError(
            f"{path} holds {', '.join(map(repr, arrays)) or 'nothing'}: images must be called 'x', "
            "and labels, if there are any, 'y'"
        )
    return arrays


def _contents(path: Path, read: Callable[[Path], Arrays]) -> Arrays:
    try:
        return read(path)
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


def _read_npy(path: Path) -> Arrays:
    with path.open("rb") as file:
        return {IMAGES: _array(np.load(file, allow_pickle=False))}


def _read_npz(path: Path) -> Arrays:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("not an archive")
        if IMAGES not in archive:  # the message needs the names only, and arrays may be large
            return {name: np.empty(0) for name in archive.files}
        return {name: _array(archive[name]) for name in (IMAGES, LABELS) if name in archive}


def _array(loaded: object) -> NDArray[Any]:
    """What NumPy loaded from a .npy file or member, which may also be an archive or bytes."""
    if not isinstance(loaded, np.ndarray):
        raise ValueError("not an array")
    return loaded


def _read_safetensors(path: Path) -> Arrays:
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        if IMAGES not in names:
            return {name: np.empty(0) for name in names}
        return {name: file.get_tensor(name) for name in (IMAGES, LABELS) if name in names}


_READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
}
