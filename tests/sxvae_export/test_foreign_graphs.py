"""Graphs from somebody else: each reaches for something beyond its file, and is refused.

The bundles are stored ones, changed with the package onnx and signed again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import sxvae_runtime
from sxvae_runtime import BundleError
from sxvae_runtime.manifest import digest
from sxvae_runtime.onnx_reader import UnfitGraphError, check_graph

FIXTURES = Path(__file__).parents[1] / "sxvae_runtime" / "fixtures"
EXTERNAL = "takes numbers from outside"

Change = Callable[[onnx.ModelProto], object]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "bundle_v1_sampler", tmp_path / "bundle"))


def _sign(bundle: Path, graph: str, content: bytes) -> None:
    """Put a graph into a bundle, as somebody would who knows how."""
    (bundle / f"{graph}.onnx").write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["graphs"][graph]["sha256"] = hashlib.sha256(content).hexdigest()
    manifest["sha256"] = digest(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _external(tensor: TensorProto, location: str = "secret", **entries: str) -> TensorProto:
    """Let a tensor take its numbers from another place."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def _secret() -> TensorProto:
    return _external(numpy_helper.from_array(np.zeros(4, np.float32), "secret"))


def _weights(model: onnx.ModelProto) -> TensorProto:
    tensors: list[TensorProto] = list(model.graph.initializer)
    return max(tensors, key=lambda tensor: len(tensor.raw_data))


def _sparse() -> onnx.SparseTensorProto:
    sparse = onnx.SparseTensorProto(dims=[8])
    sparse.values.CopyFrom(_secret())
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), "indices"))
    return sparse


def _add_constant(model: onnx.ModelProto, **attribute: Any) -> onnx.NodeProto:
    node = helper.make_node("Constant", [], ["made"], **attribute)
    model.graph.node.append(node)
    return node


def _branch(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "branch", [], [output], initializer=list(tensors))


def _add_if(model: onnx.ModelProto, branch: onnx.GraphProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "condition"))
    node = helper.make_node("If", ["condition"], ["made"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def _function(domain: str = "mine") -> onnx.FunctionProto:
    nodes = [helper.make_node("Constant", [], ["y"], value=_secret())]
    return helper.make_function(domain, "Read", [], ["y"], nodes, [helper.make_opsetid("", 20)])


def _train(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(_secret())


def _set_domain(model: onnx.ModelProto, domain: str) -> None:
    model.graph.node[0].domain = domain


CHANGES: dict[str, tuple[Change, str]] = {
    "weights": (lambda m: _external(_weights(m)), EXTERNAL),
    "weights of a file above": (lambda m: _external(_weights(m), "../../etc/passwd"), EXTERNAL),
    "weights at an address": (
        lambda m: _external(_weights(m), "*/_ORT_MEM_ADDR_/*", offset="4096", length="16"),
        EXTERNAL,
    ),
    "weights, said without a place": (
        lambda m: setattr(_weights(m), "data_location", TensorProto.EXTERNAL),
        EXTERNAL,
    ),
    "a place, not said to be one": (
        lambda m: _weights(m).external_data.add(key="location", value="secret"),
        EXTERNAL,
    ),
    "sparse weights": (lambda m: m.graph.sparse_initializer.append(_sparse()), EXTERNAL),
    "a tensor of a node": (lambda m: _add_constant(m, value=_secret()), EXTERNAL),
    "a sparse tensor of a node": (lambda m: _add_constant(m, sparse_value=_sparse()), EXTERNAL),
    "tensors of a node": (lambda m: _add_constant(m, others=[_secret(), _secret()]), EXTERNAL),
    "a branch's weights": (lambda m: _add_if(m, _branch(tensors=(_secret(),))), EXTERNAL),
    "a branch's node": (
        lambda m: _add_if(m, _branch(helper.make_node("Constant", [], ["out"], value=_secret()))),
        EXTERNAL,
    ),
    "graphs of a node": (
        lambda m: _add_constant(m, graphs=[_branch(tensors=(_secret(),))]),
        EXTERNAL,
    ),
    "a function": (lambda m: m.functions.append(_function()), "holds functions of its own"),
    "a function in place of a standard operator": (
        lambda m: m.functions.append(_function("")),
        "holds functions of its own",
    ),
    "training": (_train, "holds training steps"),
    "a custom operator": (
        lambda m: _set_domain(m, "com.microsoft"),
        r"needs operators of 'com\.microsoft', and only the standard's are run",
    ),
    "a branch's custom operator": (
        lambda m: _add_if(m, _branch(helper.make_node("Read", [], ["out"], domain="a\x1b[2Jb"))),
        r"needs operators of 'a\\x1b\[2Jb'",
    ),
    "a set of operators": (
        lambda m: m.opset_import.append(helper.make_opsetid("mine", 1)),
        "needs operators of 'mine'",
    ),
    "a graph of many levels": (lambda m: _nest(m, 20), "nested too deeply"),
    "a device": (lambda m: m.configuration.add(name="gpu"), r"a model with a field \(number 26\)"),
    "another overload": (
        lambda m: setattr(m.graph.node[0], "overload", "x"),
        r"a node with a field \(number 8\) that no graph needs",
    ),
}


def _nest(model: onnx.ModelProto, levels: int) -> None:
    branch = _branch()
    for _ in range(levels):
        node = helper.make_node("If", ["condition"], ["out"], then_branch=branch)
        branch = _branch(node)
    _add_if(model, branch)


@pytest.mark.parametrize("graph", ["encoder", "sampler"])
@pytest.mark.parametrize("case", CHANGES)
def test_what_reaches_beyond_its_file_is_refused_before_a_session_is_made(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, case: str, graph: str
) -> None:
    change, message = CHANGES[case]
    (bundle / "secret").write_bytes(b"0123456789abcdef")
    monkeypatch.chdir(bundle)  # where onnxruntime looks for it
    monkeypatch.delattr(onnxruntime, "InferenceSession")
    model = onnx.load(bundle / f"{graph}.onnx")
    change(model)
    _sign(bundle, graph, model.SerializeToString())
    with pytest.raises(BundleError, match=rf"{graph}\.onnx .*{message}"):
        sxvae_runtime.load(bundle)


def test_standard_operators_and_branches_of_them_run(bundle: Path) -> None:
    model = onnx.load(bundle / "decoder.onnx")
    model.opset_import.append(helper.make_opsetid("ai.onnx", 20))
    model.graph.node[0].domain = "ai.onnx"
    _add_if(model, _branch(helper.make_node("Constant", [], ["out"], value_float=1.0)))
    (output,) = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Mul", ["before", "made"], [output.name]))
    _sign(bundle, "decoder", model.SerializeToString())
    assert sxvae_runtime.load(bundle).verify() < 1e-4


def _varint(value: int, size: int = 0) -> bytes:
    """A number as protocol buffers write it, in more bytes than needed if `size` says so."""
    groups: list[int] = []
    while value or len(groups) < max(size, 1):
        groups.append(value & 0x7F)
        value >>= 7
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _delimited(tag: bytes, content: bytes, size: int = 0) -> bytes:
    return tag + _varint(len(content), size) + content


# A model (field 7: graph) with a graph (5: tensor) with a tensor (13: external data).
_ENTRY = _delimited(b"\x6a", _delimited(b"\x0a", b"location") + _delimited(b"\x12", b"secret"))


@pytest.mark.parametrize(
    "content",
    [
        _delimited(b"\x3a", _delimited(b"\x2a", _ENTRY)),
        _delimited(b"\xba\x00", _delimited(b"\xaa\x00", _ENTRY, 5), 5),  # longer than needed
        _delimited(b"\x3a", b"") + _delimited(b"\x3a", _delimited(b"\x2a", _ENTRY)),  # two graphs
        _delimited(b"\x3a", _delimited(b"\x2a", b"\x70\x01")),  # 14: location, outside
        _delimited(b"\x3a", _delimited(b"\x2a", b"\x70\x00\x70\x01")),  # the last one counts
        # 2^32 + 1, of which other readers take the lower 32 bits.
        _delimited(b"\x3a", _delimited(b"\x2a", b"\x70" + _varint(2**32 + 1))),
        _delimited(_varint(2**32 + 0x3A), _delimited(b"\x2a", _ENTRY)),
        _delimited(b"\x3a", b"\x2b\x2c"),  # a group, as protocol buffers had them once
    ],
)
def test_every_way_to_write_a_field(content: bytes) -> None:
    with pytest.raises(UnfitGraphError):
        check_graph(content)


def test_files_that_are_no_onnx() -> None:
    whole = (FIXTURES / "bundle_v1" / "encoder.onnx").read_bytes()
    check_graph(whole)
    for length in range(1, len(whole), 97):
        with pytest.raises(UnfitGraphError):
            check_graph(whole[:length])
    for content in (b"\xff" * 20, b"\x3a\xff\xff\xff\xff\xff\x01", b"\x08", b"{}", whole + b"\x3a"):
        with pytest.raises(UnfitGraphError):
            check_graph(content)
    with pytest.raises(UnfitGraphError, match="is in onnxruntime's own format"):
        check_graph(b"\x12\x06\x08\x07ORTM\x00\x00")  # a producer's name, if it were ONNX


def test_inputs_of_another_type_are_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "decoder.onnx")
    (output,) = model.graph.output
    output.type.tensor_type.elem_type = TensorProto.DOUBLE
    node = next(node for node in model.graph.node if output.name in node.output)
    node.output[0] = "before"
    cast = helper.make_node("Cast", ["before"], [output.name], to=TensorProto.DOUBLE)
    model.graph.node.append(cast)
    _sign(bundle, "decoder", model.SerializeToString())
    with pytest.raises(BundleError, match=r"decoder\.onnx has other inputs or outputs than the"):
        sxvae_runtime.load(bundle)


def test_a_graph_that_lies_about_its_output_is_one_error(bundle: Path) -> None:
    model = onnx.load(bundle / "decoder.onnx")
    (output,) = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[0] = "before"
    # The shape is known only when the graph runs.
    sizes = numpy_helper.from_array(np.array([0, 0, 16, 4], np.float32), "sizes")
    model.graph.initializer.append(sizes)
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["z"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "sizes"], ["scaled"]),
            helper.make_node("Sign", ["scaled"], ["signs"]),
            helper.make_node("Mul", ["signs", "sizes"], ["again"]),
            helper.make_node("Cast", ["again"], ["shape"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["before", "shape"], [output.name]),
        ]
    )
    _sign(bundle, "decoder", model.SerializeToString())
    app = sxvae_runtime.load(bundle)
    for count in (1, 2, 300):
        with pytest.raises(BundleError, match="the decoder graph gives an output of the shape"):
            app.decode(app.sample_prior(count, seed=0))
    with pytest.raises(BundleError, match="differ from the golden ones by inf"):
        app.verify()


def test_a_graph_that_fails_when_it_runs_is_one_error(bundle: Path) -> None:
    model = onnx.load(bundle / "decoder.onnx")
    (output,) = model.graph.output
    last = next(node for node in model.graph.node if output.name in node.output)
    last.output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.array(7, np.float32), "seven"))
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["z"], ["largest"], keepdims=0),
            helper.make_node("Add", ["largest", "seven"], ["many"]),
            helper.make_node("Cast", ["many"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["before", "index"], ["\x1b[2Jrow"], axis=1),
            helper.make_node("Mul", ["\x1b[2Jrow", "before"], [output.name]),
        ]
    )
    _sign(bundle, "decoder", model.SerializeToString())
    app = sxvae_runtime.load(bundle)
    for count in (1, 2, 300):
        with pytest.raises(BundleError, match="the decoder graph can't be run: ") as refusal:
            app.decode(app.sample_prior(count, seed=0))
        assert str(refusal.value).isprintable()
    with pytest.raises(BundleError, match="does not fit the graphs"):
        app.verify()
