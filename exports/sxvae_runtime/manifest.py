"""The bundle's manifest: read, and checked against the files beside it. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sxvae_runtime.errors import BundleError, BundleNotFoundError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Factor:
    """One sphere S^m of the latent space, or one Euclidean part R^m.

    Attributes:
        family: the posterior's family: "vmf" or "power-spherical" on a sphere, or "normal".
        dim: its dimension m.
        ambient: the number of its coordinates, m + 1 for a sphere and m for a Euclidean part.
        offset: where they start in a latent vector.
        covariance: of a normal posterior: "single", "diagonal" or "full"; None on a sphere.
    """

    family: str
    dim: int
    ambient: int
    offset: int
    covariance: str | None = None

    @property
    def is_sphere(self) -> bool:
        """Whether its points have norm 1."""
        return self.family != "normal"

    @property
    def scales(self) -> int:
        """How many numbers say a normal posterior's scale; 0 on a sphere.

        One standard deviation, m of them, or the m x m entries of a Cholesky factor.
        """
        sizes = {"single": 1, "diagonal": self.dim, "full": self.dim**2}
        return 0 if self.covariance is None else sizes[self.covariance]

    @property
    def slice(self) -> slice:
        """Its coordinates in a latent vector."""
        return slice(self.offset, self.offset + self.ambient)

    @property
    def name(self) -> str:
        """As in the literature: S^4, R^5."""
        return f"{'S' if self.is_sphere else 'R'}^{self.dim}"


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
        factors: in the order in which they lie in a latent vector.
        input_shape: (C, H, W) of an image.
        graphs: "encoder", "decoder" and "sampler"; older bundles have no sampler.
        golden: the name of the file of example inputs and outputs.
        content: the whole manifest as parsed.
    """

    factors: tuple[Factor, ...]
    input_shape: tuple[int, ...]
    graphs: dict[str, Graph]
    golden: str
    content: dict[str, Any]

    @cached_property
    def ambient(self) -> int:
        """The length of a latent vector."""
        return sum(factor.ambient for factor in self.factors)

    @cached_property
    def spheres(self) -> tuple[int, ...]:
        """The places of the spheres among the factors."""
        return tuple(place for place, factor in enumerate(self.factors) if factor.is_sphere)

    @cached_property
    def scales(self) -> int:
        """How many numbers say the scales of all normal posteriors."""
        return sum(factor.scales for factor in self.factors)


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest but its own entry `sha256`."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a manifest of ours, damaged or not."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "format_version" in content and "graphs" in content


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file's hash.

    Raises:
        BundleNotFoundError: if the folder or one of its files is missing.
        BundleError: if the manifest is no manifest, of a newer format, or a hash does not match.
    """
    path = folder / MANIFEST
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} is incomplete ({error!r}); export the bundle again") from error
    for entry in (*content["graphs"].values(), content["golden"]):
        _check_file(folder, entry)
    return manifest


def _parse(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        factors=tuple(_factor(entry) for entry in content["factors"]),
        input_shape=tuple(int(n) for n in content["input_shape"]),
        graphs={
            name: Graph(str(graph["file"]), _ports(graph["inputs"]), _ports(graph["outputs"]))
            for name, graph in content["graphs"].items()
        },
        golden=str(content["golden"]["file"]),
        content=dict(content),
    )


def _factor(entry: Mapping[str, Any]) -> Factor:
    family = str(entry["family"])
    return Factor(
        family,
        int(entry["dim"]),
        int(entry["ambient"]),
        int(entry["offset"]),
        str(entry["covariance"]) if family == "normal" else None,
    )


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
