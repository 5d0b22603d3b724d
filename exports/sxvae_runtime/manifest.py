"""The bundle's manifest: read, and checked against the files beside it. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sxvae_runtime.errors import BundleError, BundleNotFoundError
from sxvae_runtime.factors import COVARIANCES, Factor, Layout
from sxvae_runtime.families import FAMILIES
from sxvae_runtime.files.staging import complete_replacements

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


class UnknownFactorError(ValueError):
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
        golden: the name of the file of example inputs and outputs.
        content: the whole manifest as parsed.
    """

    layout: Layout
    input_shape: tuple[int, ...]
    graphs: dict[str, Graph]
    golden: str
    content: dict[str, Any]


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of a manifest without its entry `sha256`."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a manifest of ours, damaged or not."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "format_version" in content and "graphs" in content


def holds_manifest(folder: Path) -> bool:
    """Whether a folder is meant as a bundle; one that was being replaced is put in place first."""
    if not folder.exists():
        complete_replacements(folder.parent)
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file's hash.

    Raises:
        BundleNotFoundError: if the folder or one of its files is missing.
        BundleError: if the manifest is no manifest, of a newer format, or a hash does not match.
    """
    path = folder / MANIFEST
    if not folder.exists():
        complete_replacements(folder.parent)
    if not path.is_file():
        raise BundleNotFoundError(f"there is no bundle at {folder}: it holds no {MANIFEST}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        if not isinstance(version, int):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(
            f"{path} is damaged or no manifest of sxvae; export the bundle again"
        ) from None
    if version > FORMAT_VERSION:
        raise BundleError(
            f"{path} has format {version}, and this sxvae_runtime reads formats up to "
            f"{FORMAT_VERSION}: install a newer one"
        )
    if content.get("sha256") != digest(content):
        raise BundleError(f"{path} does not match its own checksum; export the bundle again")
    try:
        manifest = _parse(content)
    except UnknownFactorError as error:
        raise BundleError(f"{path}: {error}; install a newer sxvae_runtime") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} is incomplete ({error!r}); export the bundle again") from error
    for entry in (*content["graphs"].values(), content["golden"]):
        _check_file(folder, entry)
    return manifest


def _parse(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        layout=_layout(content["factors"]),
        input_shape=tuple(int(n) for n in content["input_shape"]),
        graphs={
            name: Graph(str(graph["file"]), _ports(graph["inputs"]), _ports(graph["outputs"]))
            for name, graph in content["graphs"].items()
        },
        golden=str(content["golden"]["file"]),
        content=dict(content),
    )


def _layout(entries: list[Mapping[str, Any]]) -> Layout:
    """The layout of the factors, which must lie side by side.

    Raises:
        UnknownFactorError: if a family or covariance is not known here.
        ValueError: if they do not lie side by side.
    """
    factors: list[Factor] = []
    offset = 0
    for entry in entries:
        factor = _factor(entry)
        stated = (int(entry["offset"]), int(entry["ambient"]))
        if factor.dim < 1 or stated != (offset, factor.ambient):
            raise ValueError(
                "the factors do not lie side by side, m + 1 coordinates for S^m and m for R^m"
            )
        factors.append(factor)
        offset += factor.ambient
    return Layout(factors)


def _factor(entry: Mapping[str, Any]) -> Factor:
    family, dim, offset = str(entry["family"]), int(entry["dim"]), int(entry["offset"])
    if family not in FAMILIES:
        raise UnknownFactorError(f"the family {family!r} is not known")
    if family != "normal":
        return Factor(family, dim, offset)
    for covariance in COVARIANCES:
        if entry["covariance"] == covariance:
            return Factor(family, dim, offset, covariance)
    raise UnknownFactorError(f"the covariance {entry['covariance']!r} is not known")


def _ports(entries: list[Mapping[str, Any]]) -> dict[str, tuple[int | str, ...]]:
    return {str(entry["name"]): tuple(entry["shape"]) for entry in entries}


def _check_file(folder: Path, entry: Mapping[str, Any]) -> None:
    path = folder / str(entry["file"])
    if path.parent != folder:
        raise BundleError(f"{folder / MANIFEST} names a file outside its folder: {entry['file']}")
    if not path.is_file():
        raise BundleNotFoundError(f"{path} is missing; export the bundle again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry.get("sha256"):
        raise BundleError(
            f"{path} is not the file that the manifest names (its SHA-256 differs): it was changed "
            "or damaged; export the bundle again"
        )
