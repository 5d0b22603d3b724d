"""The inputs and outputs that each graph of a model has: they follow from its factors."""

from __future__ import annotations

from pathlib import Path

from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Manifest

Ports = dict[str, tuple[int | str, ...]]


def check_ports(folder: Path, manifest: Manifest) -> None:
    """Refuse a manifest whose graphs do not fit its factors and images.

    Raises:
        BundleError: naming the graph.
    """
    for name, ports in expected_ports(manifest).items():
        graph = manifest.graphs.get(name)
        if graph is not None and (graph.inputs, graph.outputs) != ports:
            raise BundleError(
                f"{folder / graph.file} does not fit the manifest's factors and input shape; "
                "export the bundle again"
            )


def expected_ports(manifest: Manifest) -> dict[str, tuple[Ports, Ports]]:
    """The inputs and outputs of each graph, by the graphs' names."""
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


def _vectors(widths: dict[str, int]) -> Ports:
    """One input or output for each width; those of width 0 are left out."""
    return {name: ("batch", width) for name, width in widths.items() if width}
