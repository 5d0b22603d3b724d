"""Export the parts of a model as ONNX graphs."""

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
# Set explicitly, because a newer exporter would write a version that older runtimes refuse.
_IR_VERSION = 10


class Graph(nn.Module):
    """A module that becomes one ONNX graph.

    Attributes:
        inputs: the names of its input tensors, whose first axis is the batch.
        outputs: the names of its output tensors, likewise.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @abc.abstractmethod
    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Map the inputs to the outputs."""


class EncoderGraph(Graph):
    """Maps x (batch, C, H, W) to the parameters of the posterior.

    These are mean_direction (batch, ambient), concentration (batch, spheres) and scale (batch,
    scales). An output without entries is left out.
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
        """Map (x,) to the parameters that have entries."""
        (x,) = values
        parameters: PosteriorParameters = self.model.posterior_parameters(x)
        return tuple(value for value in parameters if value.shape[-1])


class DecoderGraph(Graph):
    """Maps z (batch, ambient) to mean (batch, C, H, W), the mean of the likelihood p(x given z)."""

    inputs = ("z",)
    outputs = ("mean",)

    def __init__(self, model: ProductSpaceVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Map (z,), points of unit spheres, to (mean,). A learned radius is part of the graph."""
        (z,) = values
        return (self.model.decode(z).mean,)


def to_onnx(graph: Graph, examples: Sequence[Tensor], stamp: Mapping[str, str]) -> onnx.ModelProto:
    """Export a module as an ONNX graph with a dynamic batch and without external data.

    Args:
        graph: the module, on the CPU.
        examples: example inputs of at least two rows.
        stamp: metadata to write into the graph.

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
    """The manifest's entries for inputs or outputs; a string stands for a dynamic size."""
    return [
        {
            "name": value.name,
            "dtype": "float32",
            "shape": [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        }
        for value in values
    ]


def _strip(proto: onnx.ModelProto) -> None:
    """Remove the exporter's debugging notes, such as source paths that differ between machines."""
    graph = proto.graph
    del graph.metadata_props[:]
    graph.doc_string = ""
    for part in (graph.node, graph.initializer, graph.input, graph.output, graph.value_info):
        for item in part:
            del item.metadata_props[:]
            item.doc_string = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's progress reports and its own deprecation warnings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
