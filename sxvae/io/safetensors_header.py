"""The header of a safetensors file: names, types and places of its tensors.

The library reads it too. It takes a name that is there twice without a word, and gives NumPy no
tensor of a type that NumPy lacks, such as bfloat16.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# The library's own bound.
_MOST_BYTES = 100_000_000


class Entry(NamedTuple):
    """What the header says of a tensor.

    Attributes:
        dtype: as the format calls it, for example "F32" or "BF16".
        shape: its shape.
        start: where its bytes begin in the file.
        size: how many there are.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


class RepeatedNameError(ValueError):
    """A name that a header has twice, so that it is not known which one is meant."""


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of a file by their names.

    Raises:
        RepeatedNameError: if a name is there twice.
        ValueError: if there is no header.
        OSError: if the file can't be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_BYTES:
            raise ValueError("no header")
        content = json.loads(file.read(length), object_pairs_hook=_without_repetition)
    try:
        return {
            name: _entry(value, 8 + length)
            for name, value in content.items()
            if name != "__metadata__"
        }
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("no header") from error


def read_bfloat16(path: Path, entry: Entry) -> NDArray[np.float32]:
    """A tensor of bfloat16, which are the upper halves of float32, as these."""
    with path.open("rb") as file:
        file.seek(entry.start)
        upper = np.frombuffer(file.read(entry.size), "<u2").reshape(entry.shape)
    return (upper.astype(np.uint32) << 16).view(np.float32)


def _entry(value: Any, offset: int) -> Entry:  # noqa: ANN401 (parsed JSON)
    start, end = value["data_offsets"]
    return Entry(str(value["dtype"]), tuple(value["shape"]), offset + start, end - start)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise RepeatedNameError(repeated)
    return found
