"""Check that this machine computes the outputs that are stored in the bundle."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Graph, Manifest
from sxvae_runtime.safetensors_header import read_header
from sxvae_runtime.text import printable

if TYPE_CHECKING:
    import onnxruntime

# How much an output may differ on another machine, relative to max(1, |value|).
_TOLERANCE = 1e-4
# In bytes; ours have some hundred.
_LONGEST_HEADER = 2**20


def largest_difference(
    folder: Path,
    manifest: Manifest,
    content: bytes,
    sessions: Mapping[str, onnxruntime.InferenceSession],
) -> float:
    """Run a bundle's golden inputs through its graphs.

    Args:
        folder: the bundle.
        manifest: what it holds.
        content: its file of golden inputs and outputs.
        sessions: by the graphs' names.

    Returns:
        The largest difference from the golden outputs, relative to max(1, |value|).

    Raises:
        BundleError: if it is above 1e-4, or the file does not fit the graphs.
    """
    path = folder / manifest.golden
    try:
        golden = _read(content)
        differences = [
            difference
            for name, session in sessions.items()
            for difference in _differences(session, name, manifest.graphs[name], golden)
        ]
    except Exception as error:  # onnxruntime's own errors share no base class but this
        reason = printable(str(error))
        raise BundleError(f"{path} does not fit the graphs: {reason}") from error
    worst = float(np.max(differences))  # NaN if any is, unlike the builtin max
    if not worst <= _TOLERANCE:
        raise BundleError(
            f"the graphs in {folder} give outputs that differ from the golden ones by "
            f"{worst:.2g}: this host's onnxruntime computes something else"
        )
    return worst


def _read(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file.

    Raises:
        JsonProblemError: if its header is none, very long, or names an array twice.
        SafetensorError: if it is none.
    """
    read_header(io.BytesIO(content), _LONGEST_HEADER)
    return load(content)


def _differences(
    session: onnxruntime.InferenceSession,
    name: str,
    graph: Graph,
    golden: Mapping[str, NDArray[Any]],
) -> list[float]:
    """One for each output of a graph."""
    outputs = list(graph.outputs)
    found = session.run(outputs, {port: golden[port] for port in graph.inputs})
    # The sampler's output has the name of the decoder's input, so it is stored as `sample`.
    keys = ["sample"] if name == "sampler" else outputs
    return [_difference(golden[key], value) for key, value in zip(keys, found, strict=True)]


def _difference(expected: NDArray[Any], value: NDArray[Any]) -> float:
    if expected.shape != value.shape or expected.dtype != value.dtype:
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values make it NaN
        return float(np.max(np.abs(expected - value) / np.maximum(1, np.abs(expected))))
