"""Run a model's graphs on example inputs: check them against PyTorch, and keep golden outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.errors import NumericalError, OutputError
from sxvae.models.vae import ProductSpaceVAE
from sxvae.randomness import seeded
from sxvae_export.graphs import DecoderGraph, EncoderGraph, Graph
from sxvae_export.sampler import SamplerGraph

_CHECKED_INPUTS = 256
# Inputs are decoded in batches, because a categorical likelihood has 256 numbers for each pixel.
_BATCH = 16
_GOLDEN_INPUTS = 4
_TOLERANCE = 1e-4
# The sampler's output needs another name in the golden file, where z is the decoder's input.
GOLDEN_NAMES = {"sampler": {"z": "sample"}}

Parts = dict[str, Graph]


def parts_of(model: ProductSpaceVAE) -> Parts:
    """The modules of a model that become graphs, by the graphs' names."""
    return {
        "encoder": EncoderGraph(model),
        "decoder": DecoderGraph(model),
        "sampler": SamplerGraph(model.space),
    }


@torch.no_grad()
def example_inputs(model: ProductSpaceVAE, parts: Parts) -> dict[str, Tensor]:
    """Inputs of all graphs. Half of the images are binary; the sampler gets their posteriors."""
    space, count = model.space, _CHECKED_INPUTS
    with seeded(0, "export"):
        x = torch.rand(count, *model.settings.input_shape)
        x[::2] = torch.bernoulli(x[::2])
        inputs = {"x": x, "z": model.prior().sample((count,))}
        inputs["uniform"] = torch.rand(count, len(space.spheres))
        inputs["normal"] = torch.randn(count, space.ambient)
    encoder = parts["encoder"]
    return inputs | dict(zip(encoder.outputs, _outputs(encoder, inputs), strict=True))


def largest_difference(
    graphs: Mapping[str, bytes], parts: Parts, inputs: Mapping[str, Tensor], device: torch.device
) -> float:
    """The largest difference between onnxruntime's and PyTorch's outputs, over all graphs.

    Args:
        graphs: the serialised graphs, by their names.
        parts: the same as PyTorch modules, which are moved to the device.
        inputs: example inputs of all graphs.
        device: where PyTorch computes.

    Returns:
        The difference relative to max(1, |value|).

    Raises:
        NumericalError: if an output is not finite.
        OutputError: if the difference is above the tolerance.
    """
    return max(
        _difference_of(name, graphs[name], part.to(device), inputs, device)
        for name, part in parts.items()
    )


def _difference_of(
    name: str, graph: bytes, part: Graph, inputs: Mapping[str, Tensor], device: torch.device
) -> float:
    references = [output.numpy() for output in _outputs(part, inputs, device)]
    found = run_graph(graph, {key: inputs[key].numpy() for key in part.inputs})
    differences = [
        np.max(np.abs(found[output] - reference) / np.maximum(1, np.abs(reference)))
        for output, reference in zip(part.outputs, references, strict=True)
    ]
    worst = float(np.max(differences))  # NaN if any is, unlike the builtin max
    if not math.isfinite(worst):
        raise NumericalError(
            "the model's outputs are not finite, so its weights have diverged: the bundle was not "
            "written"
        )
    if worst > _TOLERANCE:
        raise OutputError(
            f"the {name} graph's outputs differ from PyTorch's by {worst:.2g}, more than "
            f"{_TOLERANCE:g}: the bundle was not written"
        )
    return worst


@torch.no_grad()
def _outputs(
    part: Graph, inputs: Mapping[str, Tensor], device: torch.device | str = "cpu"
) -> list[Tensor]:
    batches = zip(*(inputs[key].split(_BATCH) for key in part.inputs), strict=True)
    outputs = [part(*(rows.to(device) for rows in batch)) for batch in batches]
    return [torch.cat(parts).cpu() for parts in zip(*outputs, strict=True)]


def run_graph(content: bytes, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Run a serialised graph in an onnxruntime session on the CPU, and return all its outputs."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    count = len(next(iter(values.values())))
    batches = [
        session.run(None, {key: value[start : start + _BATCH] for key, value in values.items()})
        for start in range(0, count, _BATCH)
    ]
    outputs = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    return dict(zip(names, outputs, strict=True))


def golden_arrays(
    graphs: Mapping[str, bytes], parts: Parts, inputs: Mapping[str, Tensor]
) -> dict[str, NDArray[np.float32]]:
    """The golden file's arrays: a few example inputs, and the graphs' outputs for them.

    The sampler draws from the posteriors that the encoder graph gives for the images.
    """
    arrays = {
        name: inputs[name][:_GOLDEN_INPUTS].numpy()
        for name in ("x", "z", "uniform", "normal")
        if inputs[name].shape[-1]
    }
    for name, part in parts.items():
        outputs = run_graph(graphs[name], {key: arrays[key] for key in part.inputs})
        renamed = GOLDEN_NAMES.get(name, {})
        arrays |= {renamed.get(output, output): value for output, value in outputs.items()}
    return arrays
