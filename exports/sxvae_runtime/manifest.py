"""A bundle's manifest, every value read by its type and within bounds. Standard library only.

A checksum proves that a file is whole, not that it is honest: whoever changes a manifest can sign
it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sxvae_runtime.errors import BundleError
from sxvae_runtime.factors import COVARIANCES, Factor, Layout
from sxvae_runtime.families import FAMILIES, NORMAL
from sxvae_runtime.json_values import JsonProblemError, MissingKeyError, Value, parse_object
from sxvae_runtime.levels import MOST_LEVELS
from sxvae_runtime.text import shown

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
# A bundle's files have the same names in every bundle; older ones have no sampler.
GOLDEN_FILE = "golden.safetensors"
GRAPH_FILES = {name: f"{name}.onnx" for name in ("encoder", "decoder", "sampler")}

# No image, latent vector or row of scales has more numbers: 256 MiB in float32.
_MOST_NUMBERS = 2**26
_MOST_FACTORS = 100_000
_MOST_PORTS = 8
_MOST_AXES = 8
_NEWEST = 2**31

# What the manifest says to people and other programs.
_TEXTS = ("binarization", "form", "likelihood", "preprocessing")
_OBJECTS = ("drift", "provenance")

_SHA256 = re.compile("[0-9a-f]{64}")


class UnknownFactorError(JsonProblemError):
    """A factor that only newer versions know."""


@dataclass(frozen=True)
class Graph:
    """One ONNX graph.

    Attributes:
        file: its name in the bundle.
        inputs: names and shapes; a text stands for a dynamic size.
        outputs: likewise.
    """

    file: str
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds.

    Attributes:
        layout: the factors, and where they lie in a latent vector.
        input_shape: (C, H, W) of an image.
        graphs: "encoder", "decoder" and "sampler"; older bundles have no sampler.
        levels: how many levels the images had that the model was trained on, if they were whole
            numbers with another scale than their type's; else None.
        golden: the name of the file of example inputs and outputs.
        hashes: the SHA-256 of each file beside the manifest, by their names.
        content: the whole manifest as parsed.
        source: the bytes that it was parsed from.
    """

    layout: Layout
    input_shape: tuple[int, ...]
    levels: int | None
    graphs: dict[str, Graph]
    golden: str
    hashes: dict[str, str]
    content: dict[str, Any]
    source: bytes

    @property
    def sha256(self) -> str:
        """What tells the bundle from every other, for all files' hashes are part of it."""
        return str(self.content["sha256"])


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of a manifest without its entry `sha256`."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def parse_manifest(source: bytes, path: Path) -> Manifest:
    """Read a manifest.

    Args:
        source: the file's bytes.
        path: the file, for messages.

    Raises:
        BundleError: if it is no manifest, of a newer format, or was changed.
    """
    try:
        content = parse_object(source)
        version = Value(content)["format_version"].integer(1, _NEWEST)
        if version > FORMAT_VERSION:
            raise BundleError(
                f"{path} has format {version}, and this sxvae_runtime reads formats up to "
                f"{FORMAT_VERSION}: install a newer one"
            )
        if content.get("sha256") != digest(content):
            raise BundleError(f"{path} does not match its own checksum; export the bundle again")
        return _manifest(content, source)
    except UnknownFactorError as error:
        raise BundleError(f"{path}: {error}; install a newer sxvae_runtime") from error
    except MissingKeyError as error:
        raise BundleError(f"{path} is incomplete: {error}; export the bundle again") from error
    except JsonProblemError as error:
        raise BundleError(
            f"{path} is damaged or no manifest of sxvae: {error}; export the bundle again"
        ) from error


def _manifest(content: dict[str, Any], source: bytes) -> Manifest:
    document = Value(content)
    _check_descriptions(document)
    entries = {name: document["graphs"][name] for name in document["graphs"].object()}
    graphs = {name: _graph(name, entry) for name, entry in entries.items()}
    for name in ("encoder", "decoder"):
        if name not in graphs:
            raise JsonProblemError(f"it has no {name} graph")
    golden, levels = document["golden"], document.get("levels")
    return Manifest(
        layout=_layout(document["factors"]),
        input_shape=_image_shape(document["input_shape"]),
        levels=None if levels is None else levels.integer(2, MOST_LEVELS),
        graphs=graphs,
        golden=_file_name(golden["file"], [GOLDEN_FILE]),
        hashes=_hashes([*entries.values(), golden]),
        content=content,
        source=source,
    )


def _check_descriptions(document: Value) -> None:
    for name in _TEXTS:
        if (found := document.get(name)) is not None:
            found.text()
    for name in _OBJECTS:
        if (found := document.get(name)) is not None:
            found.object()


def _layout(value: Value) -> Layout:
    """The layout of the factors, which must lie side by side."""
    factors: list[Factor] = []
    offset = 0
    for entry in value.entries(_MOST_FACTORS):
        factor = _factor(entry)
        stated = (
            entry["offset"].integer(0, _MOST_NUMBERS),
            entry["ambient"].integer(1, _MOST_NUMBERS),
        )
        if stated != (offset, factor.ambient):
            raise JsonProblemError(
                f"{entry.key} has the offset {stated[0]} and the ambient dimension {stated[1]}, "
                f"not {offset} and {factor.ambient}: the factors do not lie side by side, m + 1 "
                "coordinates for S^m and m for R^m"
            )
        factors.append(factor)
        offset += factor.ambient
    layout = Layout(factors)
    if max(layout.ambient, layout.scales) > _MOST_NUMBERS:
        raise JsonProblemError(f"{value.key} have more than {_MOST_NUMBERS:,} numbers together")
    return layout


def _factor(entry: Value) -> Factor:
    """One factor, its offset as it is stated."""
    family = entry["family"].text()
    dim, offset = entry["dim"].integer(1, _MOST_NUMBERS), entry["offset"].integer(0, _MOST_NUMBERS)
    if family not in FAMILIES:
        raise UnknownFactorError(f"{entry.key}.family: the family {shown(family)} is not known")
    if family != NORMAL:
        if (stated := entry.get("covariance")) is not None:
            raise stated.problem("left out, as on every sphere")
        return Factor(family, dim, offset)
    stated = entry["covariance"]
    for covariance in COVARIANCES:
        if stated.text() == covariance:
            return Factor(family, dim, offset, covariance)
    raise UnknownFactorError(f"{stated.key}: the covariance {shown(stated.content)} is not known")


def _image_shape(value: Value) -> tuple[int, ...]:
    """(C, H, W)."""
    sizes = tuple(size.integer(1, _MOST_NUMBERS) for size in value.entries(_MOST_AXES))
    if len(sizes) != 3 or sizes[0] * sizes[1] * sizes[2] > _MOST_NUMBERS:
        raise value.problem(f"the (C, H, W) of images of up to {_MOST_NUMBERS:,} numbers")
    return sizes


def _graph(name: str, entry: Value) -> Graph:
    if name not in GRAPH_FILES:
        raise JsonProblemError(f"{entry.key} is no graph that a bundle has")
    file = _file_name(entry["file"], GRAPH_FILES.values())
    return Graph(file, _ports(entry["inputs"]), _ports(entry["outputs"]))


def _ports(value: Value) -> dict[str, tuple[int | str, ...]]:
    """The names and shapes of inputs or outputs."""
    ports: dict[str, tuple[int | str, ...]] = {}
    for entry in value.entries(_MOST_PORTS):
        name = entry["name"].text()
        if name in ports:
            raise JsonProblemError(f"{entry.key}.name is {shown(name)}, which is there twice")
        if (dtype := entry.get("dtype")) is not None:
            dtype.one_of("float32")
        ports[name] = tuple(_size(size) for size in entry["shape"].entries(_MOST_AXES))
    return ports


def _size(value: Value) -> int | str:
    """The size of an axis; a text stands for any."""
    if isinstance(value.content, str):
        return value.content
    return value.integer(1, _MOST_NUMBERS)


def _file_name(value: Value, names: Iterable[str]) -> str:
    """One of the names that a bundle's files have."""
    if value.text() not in names:
        raise value.problem(f"{' or '.join(names)}: a bundle names no file outside its folder")
    return value.text()


def _hashes(entries: list[Value]) -> dict[str, str]:
    """The SHA-256 of each file that is named."""
    hashes: dict[str, str] = {}
    for entry in entries:
        stated = entry["sha256"]
        if not _SHA256.fullmatch(stated.text()):
            raise stated.problem("a SHA-256 in hexadecimal digits")
        if hashes.setdefault(entry["file"].text(), stated.text()) != stated.text():
            raise stated.problem("what another entry says of the same file")
    return hashes
