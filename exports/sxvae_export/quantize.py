"""Lower precisions of a graph: weights of 8 or 16 bits. Inputs and outputs stay float32."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sxvae.config import ModelSettings
from sxvae.errors import ConfigError

Precision = Literal["float32", "int8", "float16"]

# The operators whose weights take nearly all of a graph's bytes.
_LAYERS = ("Gemm", "MatMul", "Conv", "ConvTranspose")


def refuse_precision(precision: Precision, settings: ModelSettings) -> None:
    """Refuse a precision from which this kind of model gains nothing.

    Raises:
        ConfigError: if convolutions are to be quantised to int8.
    """
    if precision == "int8" and "cnn" in (settings.encoder, settings.decoder):
        raise ConfigError(
            "int8 makes convolutions up to 4.4 times slower in onnxruntime and transposed ones no "
            "smaller, so only fully connected networks are quantised: export this model with "
            "--float16, or as it is"
        )


def quantize(proto: onnx.ModelProto, precision: Precision) -> onnx.ModelProto:
    """Convert a float32 graph to a precision; names, metadata, inputs and outputs stay the same.

    Args:
        proto: the graph, which is not changed.
        precision: the precision of its layers.

    Raises:
        onnx.checker.ValidationError: if the result is no valid graph.
    """
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    if precision == "int8":
        found = _to_int8(proto)
        helper.set_model_props(found, {entry.key: entry.value for entry in proto.metadata_props})
        found.producer_name, found.producer_version = proto.producer_name, proto.producer_version
    elif precision == "float16":
        _to_float16(found.graph)
    onnx.checker.check_model(found, full_check=True)
    return found


def _to_int8(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights as 8-bit integers, with a scale for each output, and quantise activations too.

    The weights are unsigned. With signed ones the sums saturate on processors without VNNI
    instructions, so that the same graph would give other outputs there.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "graph.onnx"
        quantize_dynamic(proto, path, per_channel=True, weight_type=QuantType.QUInt8)
        return onnx.load(path)


def _to_float16(graph: onnx.GraphProto) -> None:
    """Let the layers compute in float16, and everything between them in float32 as before.

    Existing converters round every tensor to float16, which moves mean directions 6e-4 off the
    sphere.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type not in _LAYERS:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name in weights:
                _round_weights(weights[name])
            else:
                node.input[i] = f"{node.name}_input_{i}_float16"
                nodes.append(_cast(name, node.input[i], TensorProto.FLOAT16))
        output = node.output[0]
        node.output[0] = f"{output}_float16"
        nodes += [node, _cast(node.output[0], output, TensorProto.FLOAT)]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # which states the types that were


def _round_weights(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:  # two layers may share weights
        with np.errstate(over="ignore"):  # outputs that are not finite are refused later
            rounded = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))


def _cast(value: str, to_name: str, to_type: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [value], [to_name], name=f"cast_{to_name}", to=to_type)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's advice to optimise graphs first; ours already are."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
