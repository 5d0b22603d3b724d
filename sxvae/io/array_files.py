"""Read the arrays of images and labels in a .npy, .npz or .safetensors file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sxvae.config import SplitName
from sxvae.errors import DataError
from sxvae.io.array_names import IMAGES, NO_KEYS, Keys, Pair, find_pairs, how_read
from sxvae.io.foreign_files import refusal
from sxvae.io.labels import Labels, read_labels
from sxvae.io.memory import refuse_beyond_memory
from sxvae_runtime.json_values import RepeatedKeyError
from sxvae_runtime.regular_files import UnfitFileError, refuse_irregular
from sxvae_runtime.safetensors_header import Entry, read_header

_Array = NDArray[Any]


class LabelledArray(NamedTuple):
    """An array of images as it is in a file, and its labels.

    Attributes:
        x: of any type, shape (n, ...).
        labels: the class of each image, or None.
    """

    x: _Array
    labels: Labels | None


@dataclass(frozen=True)
class ArrayFile:
    """The images of a file.

    Attributes:
        parts: by their split; under None if the file has no splits of its own.
        remark: a sentence on how it was read; None where the names are those of the documentation.
    """

    parts: dict[SplitName | None, LabelledArray]
    remark: str | None


class _Content(NamedTuple):
    """The arrays of a file by name, each with its size in bytes, and what reads one of them."""

    sizes: dict[str, int]
    read: Callable[[str], _Array]


def read_array_file(path: Path, keys: Keys = NO_KEYS) -> ArrayFile:
    """Read the images of a file, and their labels where it has some; nothing else is read.

    Args:
        path: .npy with the images, or .npz or .safetensors with images and labels under the names
            that `find_pairs` knows.
        keys: the names that the user says.

    Raises:
        DataError: if the file can't be read, or it does not say what its images are.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise DataError(refusal(path))
    try:
        refuse_irregular(path)
        return _read(path, _FORMATS[suffix](path), keys)
    except DataError:
        raise
    except UnfitFileError as error:
        raise DataError(f"{path} {error}: save its content as a file, and name that") from None
    except RepeatedKeyError as error:
        raise _named_twice(path, error.key) from None
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


def _read(path: Path, content: _Content, keys: Keys) -> ArrayFile:
    names = list(content.sizes)
    pairs = find_pairs(names, keys, path)
    refuse_beyond_memory(path, _size(content, pairs.values()))
    parts = {}
    for split, pair in pairs.items():
        x = content.read(pair.images)
        n = len(x) if x.ndim else 0
        labels = None if pair.labels is None else _labels(content, pair.labels, n, path)
        parts[split] = LabelledArray(x, labels)
    return ArrayFile(parts, how_read(names, pairs, path))


def _labels(content: _Content, name: str, n: int, path: Path) -> Labels:
    try:
        return read_labels(content.read(name), n, f"the labels {name!r} in {path}")
    except DataError as error:
        raise DataError(f"{error}; --labels-key none leaves them out") from None


def _size(content: _Content, pairs: Iterable[Pair]) -> int:
    names = [name for pair in pairs for name in pair if name is not None]
    return sum(content.sizes[name] for name in names)


def _named_twice(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} names the tensor {name!r} twice, so that it is not known which one is meant: save "
        "it again"
    )


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path} is damaged, or no {path.suffix.lower()} file of plain numbers (pickled objects "
        "are never loaded)"
    )


def _npy(path: Path) -> _Content:
    def read(name: str) -> _Array:
        with path.open("rb") as file:
            return _array(np.load(file, allow_pickle=False))

    return _Content({IMAGES: path.stat().st_size}, read)


def _npz(path: Path) -> _Content:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    sizes = {member.filename.removesuffix(".npy"): member.file_size for member in members}
    if len(sizes) != len(members):
        names = [member.filename for member in members]
        raise _named_twice(path, next(name for name in names if names.count(name) > 1))

    def read(name: str) -> _Array:
        with path.open("rb") as file:
            return _array(np.load(file, allow_pickle=False)[name])

    return _Content(sizes, read)


def _array(loaded: object) -> _Array:
    """What NumPy loaded from a .npy file or member, which may also be an archive or bytes."""
    if not isinstance(loaded, np.ndarray):
        raise ValueError("not an array")
    return loaded


def _safetensors(path: Path) -> _Content:
    with path.open("rb") as opened:
        entries = read_header(opened)
    with safe_open(path, framework="numpy"):
        pass  # the library checks the header

    def read(name: str) -> _Array:
        dtype = entries[name].dtype
        if dtype == "BF16":
            return _read_bfloat16(path, entries[name])
        if dtype.startswith(("F8", "F4", "F6")):
            raise DataError(
                f"the tensor {name!r} in {path} is of type {dtype}, floating point of "
                f"{dtype[1]} bits, which is not taken: save it as float16 or float32"
            )
        with safe_open(path, framework="numpy") as file:
            return _array(file.get_tensor(name))

    return _Content({name: entry.size for name, entry in entries.items()}, read)


def _read_bfloat16(path: Path, entry: Entry) -> NDArray[np.float32]:
    """An array of bfloat16, which are the upper halves of float32, as these."""
    with path.open("rb") as file:
        file.seek(entry.start)
        upper = np.frombuffer(file.read(entry.size), "<u2").reshape(entry.shape)
    return (upper.astype(np.uint32) << 16).view(np.float32)


_FORMATS: dict[str, Callable[[Path], _Content]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
}
