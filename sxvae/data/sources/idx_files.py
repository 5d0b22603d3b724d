"""MNIST's own file format, IDX: an array of bytes behind its shape, often compressed with gzip.

What counts is the content: a file that was compressed again, or unpacked under its old name by a
browser, holds the same images.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError

_GZIP, _ZIP, _PAGE = b"\x1f\x8b", b"PK", b"<"
_BYTES = b"\0\0\x08"  # that the array's elements are bytes; its number of axes follows
# More than any of these data sets has; a small compressed file can hold terabytes of zeros.
_MOST_BYTES = 2**30


def find_idx(folder: Path, name: str) -> Path | None:
    """The file of a name such as "train-images-idx3-ubyte", compressed or not; None if missing.

    Some mirrors have a dot in place of the hyphen before "idx".
    """
    for stem in (name, name.replace("-idx", ".idx")):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    return None


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an array of bytes, of any shape with so many axes.

    Raises:
        DataError: if the file is none, or is incomplete; the sentence says what it is.
        OSError: if it can't be read.
    """
    content = _unpacked(path)
    header = 4 + 4 * axes
    if content[:4] != _BYTES + bytes([axes]) or len(content) < header:
        raise DataError(f"{path} is {_kind_of(content, axes)}")
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    size = math.prod(shape)
    if len(content) != header + size:
        raise DataError(
            f"{path} is incomplete or damaged: its array of {size:,} bytes has "
            f"{len(content) - header:,}"
        )
    return np.frombuffer(bytearray(content), np.uint8, size, header).reshape(shape)


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_GZIP):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is incomplete or damaged: it can't be unpacked") from error
    if len(unpacked) > _MOST_BYTES:
        raise DataError(f"{path} holds more than {_MOST_BYTES // 2**30} GiB, which is no data set")
    return unpacked


def _kind_of(content: bytes, axes: int) -> str:
    """What a file that is no array of so many axes is, in words."""
    if not content:
        return "empty"
    if content.startswith(_ZIP):
        return "a zip archive: unpack it"
    if content.lstrip().startswith(_PAGE):
        return "a web page that was saved in place of the file"
    if content.startswith(_BYTES + bytes([axes])):
        return "incomplete: it ends before its array begins"
    if content.startswith(_BYTES) and len(content) > 3:
        return f"damaged or another file: its array has {content[3]} axes in place of {axes}"
    return "damaged or another file: it does not begin as an IDX file does"
