"""Open a bundle, and refuse it if its parts do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxvae_runtime import inputs
from sxvae_runtime.bundle import Bundle
from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Manifest, read_manifest
from sxvae_runtime.sessions import Sessions, make_session_options

if TYPE_CHECKING:
    import onnxruntime

_Ports = dict[str, tuple[int | str, ...]]


def load(
    path: str | Path,
    *,
    providers: Sequence[Any] | None = None,
    session_options: onnxruntime.SessionOptions | None = None,
    threads: int | None = None,
    batch_size: int = 256,
    levels: int | None = None,
) -> Bundle:
    """Open a bundle and check all of it.

    Args:
        path: the folder that `sxvae export --onnx` wrote.
        providers: onnxruntime's execution providers, each a name or a pair of a name and its
            options; the CPU's if None.
        session_options: onnxruntime's options for the session of every graph, used as they are.
        threads: onnxruntime's threads within an operator, 1 if None, 0 for as many as there are
            cores. With `session_options` leave it out, and set their `intra_op_num_threads`.
        batch_size: how many images or latent vectors a graph takes at a time: what is larger is
            cut up. Memory grows with it, above all in convolutions.
        levels: how many levels images have that are whole numbers: N - 1 stands for 1. None for
            those that the model was trained on, where the manifest says it.

    Raises:
        BundleNotFoundError: if the folder or a file of it is missing.
        BundleError: if a file is damaged, swapped, foreign or of a newer format.
        InputError: if onnxruntime has no such provider, a number is out of range, or both
            `session_options` and `threads` are given.
        MissingPackageError: if onnxruntime is not installed.

    Example:
        app = sxvae_runtime.load("bundle")
        images = app.decode(app.sample_prior(16, seed=0))
    """
    inputs.at_least(1, batch_size, "batch_size")
    levels = None if levels is None else inputs.checked_levels(levels)
    folder = Path(path)
    manifest = read_manifest(folder)
    for name in ("encoder", "decoder"):
        if name not in manifest.graphs:
            raise BundleError(f"{folder} has no {name} graph; export the bundle again")
    _check_ports(folder, manifest)
    options = make_session_options(session_options, threads)
    sessions = Sessions(folder, manifest, providers, options)
    return Bundle(folder, manifest, sessions, batch_size, levels)


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
    """One input or output for each width; those of width 0 are left out."""
    return {name: ("batch", width) for name, width in widths.items() if width}
