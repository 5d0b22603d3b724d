"""Open a bundle, refusing one whose parts do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from sxvae_runtime.bundle import Bundle
from sxvae_runtime.errors import BundleError, InputError
from sxvae_runtime.manifest import Factor, Graph, Manifest, read_manifest
from sxvae_runtime.sampling import SPHERICAL_FAMILIES

_COVARIANCES = ("single", "diagonal", "full")

_Ports = dict[str, tuple[int | str, ...]]


def load(path: str | Path, *, providers: Sequence[Any] | None = None, threads: int = 1) -> Bundle:
    """Open a bundle, all of it checked.

    Args:
        path: the folder that `sxvae export --onnx` wrote.
        providers: onnxruntime's execution providers; the CPU's if None.
        threads: onnxruntime's threads within an operator.

    Raises:
        BundleNotFoundError: if the folder or a file of it is missing.
        BundleError: if a file is damaged, swapped, foreign or of a newer format.
        InputError: if onnxruntime has no such provider.

    Example:
        app = sxvae_runtime.load("bundle")
        images = app.decode(app.sample_prior(16, seed=0))
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    wanted = list(providers or ["CPUExecutionProvider"])
    _check_providers(wanted)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {}
    for name in ("encoder", "decoder"):
        if name not in manifest.graphs:
            raise BundleError(f"{folder} has no {name} graph; export the bundle again")
        sessions[name] = _session(folder, manifest.graphs[name], wanted, options)
    _check_spaces(folder, manifest)
    return Bundle(folder, manifest, sessions["encoder"], sessions["decoder"])


def _check_providers(providers: list[Any]) -> None:
    """Refuse what onnxruntime would quietly leave out; an entry is a name, or (name, options)."""
    available = onnxruntime.get_available_providers()
    for entry in providers:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise InputError(
                f"this onnxruntime has no provider {name!r}; choose from {', '.join(available)}"
            )


def _session(
    folder: Path,
    graph: Graph,
    providers: list[Any],
    options: onnxruntime.SessionOptions,
) -> onnxruntime.InferenceSession:
    path = folder / graph.file
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no base class but this
        raise BundleError(f"onnxruntime can't load {path}: {error}") from error
    for stated, actual in (
        (graph.inputs, session.get_inputs()),
        (graph.outputs, session.get_outputs()),
    ):
        if stated != {port.name: tuple(port.shape) for port in actual}:
            raise BundleError(
                f"{path} has other inputs or outputs than the manifest says; export it again"
            )
    return session


def _check_spaces(folder: Path, manifest: Manifest) -> None:
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
    widths = {
        "mean_direction": manifest.ambient,
        "concentration": len(manifest.spheres),
        "scale": manifest.scales,
    }
    ports: dict[str, tuple[_Ports, _Ports]] = {
        "encoder": (
            {"x": ("batch", *manifest.input_shape)},
            {name: ("batch", width) for name, width in widths.items() if width},
        ),
        "decoder": ({"z": ("batch", manifest.ambient)}, {"mean": ("batch", *manifest.input_shape)}),
    }
    for name, stated in ports.items():
        graph = manifest.graphs[name]
        if (graph.inputs, graph.outputs) != stated:
            raise BundleError(
                f"{folder / graph.file} does not fit the manifest's factors and input shape; "
                "export the bundle again"
            )


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
