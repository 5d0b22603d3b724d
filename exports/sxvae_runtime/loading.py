"""Open a bundle, refusing one whose parts do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sxvae_runtime import inputs
from sxvae_runtime.bundle import Bundle
from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Manifest, read_manifest
from sxvae_runtime.sessions import Sessions

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
    _check_ports(folder, manifest)
    return Bundle(folder, manifest, Sessions(folder, manifest, providers, threads), batch_size)


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
    layout = manifest.layout
    image: tuple[int | str, ...] = ("batch", *manifest.input_shape)
    latent = {"z": ("batch", layout.ambient)}
    posterior = {"mean_direction": layout.ambient, "concentration": len(layout.spheres)}
    parameters = _vectors({**posterior, "scale": layout.scales})
    noise = _vectors({"uniform": len(layout.spheres), "normal": layout.ambient})
    return {
        "encoder": ({"x": image}, parameters),
        "decoder": ({**latent}, {"mean": image}),
        "sampler": ({**parameters, **noise}, {**latent}),
    }


def _vectors(widths: dict[str, int]) -> _Ports:
    """A port for each width; those without entries are left out."""
    return {name: ("batch", width) for name, width in widths.items() if width}
