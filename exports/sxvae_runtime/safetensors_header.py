"""The header of a safetensors file: names, types and places of its arrays.

The library reads it too, and checks what it says. But it takes a name that is there twice without a
word, and gives NumPy no array of a type that NumPy lacks, such as bfloat16.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from sxvae_runtime.json_values import JsonProblemError, Value, parse_object

_LENGTH_BYTES = 8
# The library's own bounds.
_LONGEST = 100_000_000
_MOST = 2**63 - 1
_METADATA = "__metadata__"


class Entry(NamedTuple):
    """What the header says of an array.

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


def read_header(file: BinaryIO, longest: int = _LONGEST) -> dict[str, Entry]:
    """The arrays of a file by their names.

    Args:
        file: open at its beginning.
        longest: how many bytes its header may have.

    Raises:
        RepeatedKeyError: if a name is there twice.
        JsonProblemError: if there is no header, with what is wrong.
        OSError: if the file can't be read.
    """
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > longest:
        raise JsonProblemError(
            f"its header has {length:,} bytes, more than the {longest:,} that are read"
        )
    header = Value(parse_object(file.read(length)))
    return {
        name: _entry(header[name], _LENGTH_BYTES + length)
        for name in header.object()
        if name != _METADATA
    }


def _entry(value: Value, offset: int) -> Entry:
    places = value["data_offsets"].values()
    if len(places) != 2:
        raise value["data_offsets"].problem("a list of 2 entries")
    start, end = (place.integer(0, _MOST) for place in places)
    shape = tuple(size.integer(0, _MOST) for size in value["shape"].values())
    return Entry(value["dtype"].text(), shape, offset + start, end - start)
