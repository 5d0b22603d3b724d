"""A bundle's graphs as the server's models: functions of named arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime import Bundle, InputError
from sxvae_runtime.factors import Layout
from sxvae_runtime.inputs import LatentCheck, normal_scale, parameters
from sxvae_runtime.manifest import Graph

Arrays = dict[str, NDArray[np.float32]]
Computation = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Model:
    """A model of the server: one graph of the bundle.

    Attributes:
        name: "encoder", "decoder" or "sampler".
        inputs: names and shapes without the batch.
        outputs: likewise.
        compute: gives the outputs for the inputs, or raises an InputError.
    """

    name: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    compute: Computation


def models_of(bundle: Bundle) -> dict[str, Model]:
    """The models by name; older bundles have no sampler.

    Raises:
        BundleError: if onnxruntime can't load the sampler.
    """
    graphs = bundle.manifest.graphs
    encoded = list(graphs["encoder"].outputs)

    def encode(arrays: Arrays) -> Arrays:
        posterior = bundle.encode(arrays["x"])._asdict()
        return {name: posterior[name] for name in encoded}

    def decode(arrays: Arrays) -> Arrays:
        return {"mean": bundle.decode(arrays["z"])}

    computations: dict[str, Computation] = {"encoder": encode, "decoder": decode}
    if "sampler" in graphs:
        computations["sampler"] = _sampler(bundle)
    return {name: _model(name, graphs[name], compute) for name, compute in computations.items()}


def _model(name: str, graph: Graph, compute: Computation) -> Model:
    def finite(arrays: Arrays) -> Arrays:
        found = compute(arrays)
        if not all(np.isfinite(value).all() for value in found.values()):
            raise InputError(f"the {name}'s output for this input is not finite")
        return found

    return Model(name, _rows(graph.inputs), _rows(graph.outputs), finite)


def _rows(ports: dict[str, tuple[int | str, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(int(size) for size in shape[1:]) for name, shape in ports.items()}


def _sampler(bundle: Bundle) -> Computation:
    """The graph that draws from a posterior, its inputs checked."""
    session = bundle.open_session("sampler")
    latent = LatentCheck(bundle.manifest.layout)

    def sample(arrays: Arrays) -> Arrays:
        latent(arrays["mean_direction"], "mean_direction", 2)
        _check_noise_and_scales(arrays, bundle.manifest.layout)
        return {"z": session.run(["z"], arrays)[0]}

    return sample


def _check_noise_and_scales(arrays: Arrays, layout: Layout) -> None:
    """Refuse values that are no posterior's parameters and no noise.

    Raises:
        InputError: saying which input is wrong.
    """
    for name, value in arrays.items():
        parameters(value, name, (value.shape[0], value.shape[1]))
    if "concentration" in arrays and (arrays["concentration"] < 0).any():
        raise InputError("every concentration must be finite and at least 0")
    if "uniform" in arrays and ((arrays["uniform"] < 0) | (arrays["uniform"] > 1)).any():
        raise InputError("every uniform must lie in [0, 1]")
    for index in layout.euclidean:
        scale = arrays["scale"][:, layout.scale_slices[index]]
        normal_scale(scale, index, layout.factors[index])
