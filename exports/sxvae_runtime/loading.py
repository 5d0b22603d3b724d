"""Open a bundle, refusing one whose parts do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sxvae_runtime import inputs
from sxvae_runtime.bundle import Bundle
from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Factor, Manifest, read_manifest
from sxvae_runtime.sampling import SPHERICAL_FAMILIES
from sxvae_runtime.sessions import Sessions

_COVARIANCES = ("single", "diagonal", "full")

_Ports = dict[str, tuple[int | str, ...]]


def load(
    path: str | Path,
    *,
    providers: Sequence[Any] | None = None,
    threads: int = 1,
    batch_size: int = 256,
) -> Bundle:
    """Open a bundle, all of it checked.

    Args:
        path: the folder that `sxvae export --onnx` wrote.
        providers: onnxruntime's execution providers; the CPU's if None.
        threads: onnxruntime's threads within an operator; 0 for as many as there are cores.
        batch_size: how many images or latent vectors a graph takes at a time: what is larger is
            cut up. Memory grows with it, above all in convolutions.

    Raises:
        BundleNotFoundError: if the folder or a file of it is missing.
        BundleError: if a file is damaged, swapped, foreign or of a newer format.
        InputError: if onnxruntime has no such provider, or a number is out of range.

    Example:
        app = sxvae_runtime.load("bundle")
        images = app.decode(app.sample_prior(16, seed=0))
    """
    inputs.at_least(1, batch_size, "batch_size")
    folder = Path(path)
    manifest = read_manifest(folder)
    for name in ("encoder", "decoder"):
        if name not in manifest.graphs:
            raise BundleError(f"{folder} has no {name} graph; export the bundle again")
    _check_factors(folder, manifest)
    _check_ports(folder, manifest)
    return Bundle(folder, manifest, Sessions(folder, manifest, providers, threads), batch_size)


def _check_factors(folder: Path, manifest: Manifest) -> None:
    offset = 0
    for factor in manifest.factors:
        _check_known(folder, factor)
        coordinates = factor.dim + 1 if factor.is_sphere else factor.dim
        if factor.dim < 1 or (factor.offset, factor.ambient) != (offset, coordinates):
            raise BundleError(
                f"{folder}: the manifest's factors do not lie side by side, m + 1 coordinates for "
                "S^m and m for R^m; export the bundle again"
            )
        offset += factor.ambient


def _check_known(folder: Path, factor: Factor) -> None:
    if factor.family not in (*SPHERICAL_FAMILIES, "normal"):
        raise BundleError(
            f"{folder}: the manifest's family {factor.family!r} is not known; install a newer "
            "sxvae_runtime"
        )
    if not factor.is_sphere and factor.covariance not in _COVARIANCES:
        raise BundleError(
            f"{folder}: the manifest's covariance {factor.covariance!r} is not known; install a "
            "newer sxvae_runtime"
        )


def _check_ports(folder: Path, manifest: Manifest) -> None:
    for name, ports in _ports(manifest).items():
        graph = manifest.graphs.get(name)
        if graph is not None and (graph.inputs, graph.outputs) != ports:
            raise BundleError(
                f"{folder / graph.file} does not fit the manifest's factors and input shape; "
                "export the bundle again"
            )


def _ports(manifest: Manifest) -> dict[str, tuple[_Ports, _Ports]]:
    """The inputs and outputs that each graph of this model has."""
    image: tuple[int | str, ...] = ("batch", *manifest.input_shape)
    latent = {"z": ("batch", manifest.ambient)}
    posterior = {"mean_direction": manifest.ambient, "concentration": len(manifest.spheres)}
    parameters = _vectors({**posterior, "scale": manifest.scales})
    noise = _vectors({"uniform": len(manifest.spheres), "normal": manifest.ambient})
    return {
        "encoder": ({"x": image}, parameters),
        "decoder": ({**latent}, {"mean": image}),
        "sampler": ({**parameters, **noise}, {**latent}),
    }


def _vectors(widths: dict[str, int]) -> _Ports:
    """A port for each width; those without entries are left out."""
    return {name: ("batch", width) for name, width in widths.items() if width}
