"""From a model's parts to ONNX graphs."""

from __future__ import annotations

import abc
import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from sxvae.models.vae import ProductSpaceVAE
from sxvae.spaces import PosteriorParameters

OPSET = 20
# Written down so that a newer exporter does not shut older runtimes out.
_IR_VERSION = 10


class Graph(nn.Module):
    """What becomes one ONNX graph: a tensor in for each of `inputs`, one out for each of `outputs`.

    The first axis of all of them is the batch.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @abc.abstractmethod
    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""


class EncoderGraph(Graph):
    """x (batch, C, H, W) to the posterior's parameters, those without entries left out.

    mean_direction (batch, ambient), concentration (batch, spheres) and scale (batch, scales).
    """

    inputs = ("x",)

    def __init__(self, model: ProductSpaceVAE) -> None:
        super().__init__()
        self.model = model
        space = model.space
        widths = {
            "mean_direction": space.ambient,
            "concentration": len(space.spheres),
            "scale": space.scales,
        }
        self.outputs = tuple(name for name, width in widths.items() if width)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The parameters that have entries."""
        (x,) = values
        parameters: PosteriorParameters = self.model.posterior_parameters(x)
        return tuple(value for value in parameters if value.shape[-1])


class DecoderGraph(Graph):
    """z (batch, ambient) to mean (batch, C, H, W), the likelihood's mean."""

    inputs = ("z",)
    outputs = ("mean",)

    def __init__(self, model: ProductSpaceVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """The mean of p(x given z); z lies on unit spheres, a learned radius is in here."""
        (z,) = values
        return (self.model.decode(z).mean,)


def to_onnx(graph: Graph, examples: Sequence[Tensor], stamp: Mapping[str, str]) -> onnx.ModelProto:
    """Export a graph with a dynamic batch, as one message without external data.

    Args:
        graph: on the CPU.
        examples: its inputs, of at least two rows.
        stamp: our metadata, put into the graph.

    Raises:
        onnx.checker.ValidationError: if the result is no valid graph.
    """
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            graph.eval(),
            tuple(examples),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=(tuple({0: batch} for _ in examples),),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    proto = program.model_proto
    _strip(proto)
    proto.ir_version = _IR_VERSION
    onnx.helper.set_model_props(proto, dict(stamp))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def ports(values: Iterable[onnx.ValueInfoProto]) -> list[dict[str, Any]]:
    """Names, types and shapes, as the manifest has them; a text stands for a dynamic size."""
    return [
        {
            "name": value.name,
            "dtype": "float32",
            "shape": [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        }
        for value in values
    ]


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter noted for debugging: source paths, which differ between machines."""
    graph = proto.graph
    del graph.metadata_props[:]
    graph.doc_string = ""
    for part in (graph.node, graph.initializer, graph.input, graph.output, graph.value_info):
        for item in part:
            del item.metadata_props[:]
            item.doc_string = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress reports and its own deprecation warnings off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
