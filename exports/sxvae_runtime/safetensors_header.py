"""The header of a safetensors file: the library reads a file that names one tensor twice."""

from __future__ import annotations

from pathlib import Path

from sxvae_runtime.strict_json import parse_json

_LENGTH_BYTES = 8
# The library's own bound.
_LONGEST = 100_000_000


def check_header(path: Path) -> None:
    """Refuse a file whose header names a tensor twice, or is no JSON object.

    Args:
        path: a regular file.

    Raises:
        ValueError: what is wrong, as a sentence without its end.
        OSError: if the file can't be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > _LONGEST:
            raise ValueError("its header is too long")
        header = file.read(length)
    try:
        content = parse_json(header)
    except ValueError as error:
        raise ValueError(f"its header {error}") from None
    if not isinstance(content, dict):
        raise ValueError("its header holds no named values")
