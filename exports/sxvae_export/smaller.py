"""Smaller forms of a graph: weights of 8 or 16 bits. What goes in and out stays float32."""

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

Form = Literal["float32", "int8", "float16"]

# The operators that have weights worth making smaller.
_LAYERS = ("Gemm", "MatMul", "Conv", "ConvTranspose")


def refuse_form(form: Form, settings: ModelSettings) -> None:
    """Refuse what would make a model worse.

    Raises:
        ConfigError: if convolutions are to be quantised.
    """
    if form == "int8" and "cnn" in (settings.encoder, settings.decoder):
        raise ConfigError(
            "int8 makes convolutions up to 4.4 times slower in onnxruntime and transposed ones no "
            "smaller, so only fully connected networks are quantised: export this model with "
            "--float16, or as it is"
        )


def smaller(proto: onnx.ModelProto, form: Form) -> onnx.ModelProto:
    """A float32 graph in another form, its names, metadata and ports as they were."""
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    if form == "int8":
        found = _quantized(proto)
        helper.set_model_props(found, {entry.key: entry.value for entry in proto.metadata_props})
        found.producer_name, found.producer_version = proto.producer_name, proto.producer_version
    elif form == "float16":
        _halve(found.graph)
    onnx.checker.check_model(found, full_check=True)
    return found


def _quantized(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Weights as 8-bit integers with a scale for each output, activations quantised as they come.

    Unsigned weights: with signed ones, processors without VNNI saturate sums, so that the same
    graph would compute something else there.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "graph.onnx"
        quantize_dynamic(proto, path, per_channel=True, weight_type=QuantType.QUInt8)
        return onnx.load(path)


def _halve(graph: onnx.GraphProto) -> None:
    """Let the layers compute in float16, and what is between them in float32 as before.

    The converters that there are round every tensor to float16, which takes directions 6e-4 off
    the sphere.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type not in _LAYERS:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name in weights:
                _halve_weights(weights[name])
            else:
                node.input[i] = f"{node.name}_input_{i}_float16"
                nodes.append(_cast(name, node.input[i], TensorProto.FLOAT16))
        output = node.output[0]
        node.output[0] = f"{output}_float16"
        nodes += [node, _cast(node.output[0], output, TensorProto.FLOAT)]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # which states the types that were


def _halve_weights(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:  # not if two layers share it
        with np.errstate(over="ignore"):  # outputs that are not finite are refused in the end
            halved = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halved, tensor.name))


def _cast(value: str, to_name: str, to_type: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [value], [to_name], name=f"cast_{to_name}", to=to_type)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice to prepare graphs first off the terminal; ours are optimised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
