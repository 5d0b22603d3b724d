"""Checkpoints: one safetensors file each, written whole or not at all, checked when read.

Nothing here needs PyTorch: tensors come and go as NumPy arrays.

The metadata key `sxvae` holds JSON with `format_version`, `settings`, `kind`, `epoch`, `metrics`,
`versions`, in `last` also `state`, and `sha256`: the hash of everything else in the file, because
safetensors itself has no checksum. The checksum proves that a file is whole, not that it is honest,
so every key that is read has its type checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sxvae.config import RunSettings
from sxvae.errors import CheckpointError, ConfigError
from sxvae.io.atomic import write_atomically
from sxvae.runs.config_file import Version
from sxvae.runs.formats import FORMAT_VERSION, Arrays, to_present_format
from sxvae.setting_types import NotNegative
from sxvae.settings import Settings
from sxvae_runtime.json_values import JsonProblemError, parse_object
from sxvae_runtime.regular_files import UnfitFileError, refuse_irregular
from sxvae_runtime.safetensors_header import read_header

_KEY = "sxvae"

Metrics = dict[str, float | tuple[float, ...]]


class _Metadata(Settings):
    """The types of a checkpoint's metadata; the settings and the state have readers of their own.

    A file of an older version may lack what has a default here.
    """

    sha256: Annotated[str, Field(max_length=64)]
    kind: Literal["best", "last"] | None = None
    epoch: NotNegative | None = None
    metrics: Metrics | None = None
    versions: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's content.

    Attributes:
        tensors: arrays by name, as the present format has them; the model's start with "model.".
        settings: of the run.
        metadata: the whole of the JSON, `settings` included.
        path: where it was read.
    """

    tensors: Arrays
    settings: RunSettings
    metadata: dict[str, Any]
    path: Path

    @property
    def sha256(self) -> str:
        """The hash of names, shapes, bytes and metadata: the checkpoint's identity."""
        return str(self.metadata["sha256"])

    def part(self, prefix: str) -> Arrays:
        """The tensors whose names start with `prefix` and a dot, without it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): array
            for name, array in self.tensors.items()
            if name.startswith(start)
        }


def write_checkpoint(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: dict[str, Any]
) -> None:
    """Write a checkpoint; a kill at any moment leaves the old file or the new one.

    Args:
        path: the file.
        tensors: arrays by name.
        metadata: JSON-ready; `format_version` and `sha256` are added.

    Raises:
        OutputError: if it can't be written.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = {**metadata, "format_version": FORMAT_VERSION}
    content["sha256"] = _digest(arrays, content)
    write_atomically(path, save(arrays, metadata={_KEY: json.dumps(content, sort_keys=True)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint.

    Raises:
        CheckpointError: if it is missing, not one of ours, of a newer format, or damaged.
    """
    try:
        refuse_irregular(path)
    except UnfitFileError as error:
        raise CheckpointError(f"{path} {error}, and no checkpoint either") from None
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    try:
        with path.open("rb") as opened:
            read_header(opened)
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (
        *(SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError),
    ) as error:
        raise CheckpointError(
            f"{path} is no readable safetensors file, so damaged or not a checkpoint ({error})"
        ) from error
    if text is None:
        raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of sxvae")
    metadata = _parse(path, text)
    if metadata.get("sha256") != _digest(tensors, metadata):
        raise CheckpointError(
            f"{path} is damaged: its content does not match its checksum; take another copy of it"
        )
    try:
        settings = RunSettings.read(metadata.get("settings"))
    except ConfigError as error:
        raise CheckpointError(f"{path} has settings that can't be used: {error}") from error
    try:
        tensors = to_present_format(tensors, metadata["format_version"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return Checkpoint(tensors, settings, metadata, path)


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        metadata = parse_object(text)
    except JsonProblemError as error:
        raise CheckpointError(
            f"{path} is damaged, of its metadata: {error}; take another copy"
        ) from None
    try:
        version = Version.read(metadata).format_version
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} has format {version}, and this sxvae reads formats up to "
                f"{FORMAT_VERSION}: install a newer sxvae"
            )
        _Metadata.read(metadata)
    except ConfigError as error:
        raise CheckpointError(f"{path} has metadata that can't be used: {error}") from error
    return metadata


def _digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> str:
    """SHA-256 over tensor names, types, shapes and bytes, and the rest of the metadata."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    rest = {key: value for key, value in metadata.items() if key != "sha256"}
    digest.update(json.dumps(rest, sort_keys=True).encode())
    return digest.hexdigest()
