"""A cache of binary images as safetensors, beside the text file that takes longer to read."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sxvae.errors import DataError, OutputError
from sxvae.io.atomic import write_atomically

_FORMAT = "sxvae binary images 1"


def cached_bits(source: Path, parse: Callable[[bytes], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The binary images of a file, from the cache `<source>.safetensors` where that is valid.

    A cache that is missing, damaged or made from other content is written again.

    Args:
        source: the file.
        parse: turns the file's bytes into zeros and ones, shape (n, pixels).

    Raises:
        DataError: if `source` can't be read, or as `parse` raises it.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise DataError(f"{source} can't be read ({error.strerror})") from error
    digest = hashlib.sha256(content).hexdigest()
    cache = source.with_name(f"{source.name}.safetensors")
    found = _read(cache, digest)
    if found is not None:
        return found
    bits = parse(content)
    # If the folder can't be written to, there is no cache and the text is read each time.
    with contextlib.suppress(OutputError):
        _write(cache, bits, digest)
    return bits


def _write(cache: Path, bits: NDArray[np.uint8], source_digest: str) -> None:
    packed = np.packbits(bits, axis=1)
    metadata = {
        "format": _FORMAT,
        "source_sha256": source_digest,
        "pixels": str(bits.shape[1]),
        "bits_sha256": _digest(bits),
    }
    write_atomically(cache, save({"bits": packed}, metadata))


def _read(cache: Path, source_digest: str) -> NDArray[np.uint8] | None:
    """The cached images, or None if the cache is missing, damaged or made from other content."""
    if not cache.is_file():
        return None
    try:
        with safe_open(cache, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT or metadata["source_sha256"] != source_digest:
                return None
            packed: NDArray[np.uint8] = file.get_tensor("bits")
        bits = np.unpackbits(packed, axis=1, count=int(metadata["pixels"]))
        return bits if _digest(bits) == metadata["bits_sha256"] else None
    except (SafetensorError, OSError, LookupError, ValueError, TypeError):
        return None


def _digest(bits: NDArray[np.uint8]) -> str:
    """A checksum of the images, since safetensors has none of its own."""
    return hashlib.sha256(f"{bits.shape};".encode() + bits.tobytes()).hexdigest()
