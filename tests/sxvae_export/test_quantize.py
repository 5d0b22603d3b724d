"""Precisions of 8 and 16 bits, and the model repository, from a run of the command line."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

import sxvae_runtime
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.data import load_data
from sxvae.errors import ConfigError, NumericalError, OutputError
from sxvae_export import AccuracyLoss, accuracy_loss, export_bundle
from sxvae_export.quantize import refuse_precision

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


class Small(NamedTuple):
    """A quantised bundle, the model repository made with it, and what the command said."""

    bundle: Path
    repository: Path
    said: dict[str, Any]


@pytest.fixture
def small(quantized: Path) -> Small:
    said = json.loads((quantized / "said.json").read_text())
    return Small(quantized / "int8", quantized / "models", said)


def _weight_types(path: Path) -> set[str]:
    tensors = onnx.load(path).graph.initializer
    weights = [t for t in tensors if len(t.dims) == 2 and np.prod(t.dims) > 200]
    assert weights
    return {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in weights}


def _squared_error(app: sxvae_runtime.Bundle) -> float:
    images = load_data("digits").for_evaluation("validation").images(slice(None)).numpy()
    return float(np.mean((app.reconstruct(images) - images) ** 2))


def test_int8_is_three_times_smaller_and_says_what_it_costs(small: Small, bundle: Path) -> None:
    loss = small.said["accuracy_loss"]
    assert loss["bytes_now"] < loss["bytes"] / 3
    sizes = [
        sum((folder / f"{name}.onnx").stat().st_size for name in ("encoder", "decoder"))
        for folder in (bundle, small.bundle)
    ]
    assert [loss["bytes"], loss["bytes_now"]] == sizes
    assert set(loss["outputs"]) == {"mean_direction", "concentration", "mean"}
    assert all(0 < value < 0.02 for value in loss["outputs"].values())
    assert loss["images"] == 250
    manifest = json.loads((small.bundle / "manifest.json").read_text())
    assert manifest["form"] == "int8"
    assert manifest["drift"] == loss


def test_int8_is_run_by_the_runtime_as_it_is(small: Small, bundle: Path) -> None:
    app = sxvae_runtime.load(small.bundle)
    assert app.verify() < 1e-6
    loss = small.said["accuracy_loss"]
    assert _squared_error(app) == pytest.approx(loss["squared_error_now"], rel=1e-4)
    full = sxvae_runtime.load(bundle)
    assert _squared_error(full) == pytest.approx(loss["squared_error"], rel=1e-4)
    for name in ("encoder", "decoder"):
        assert _weight_types(small.bundle / f"{name}.onnx") == {"UINT8"}
    assert (small.bundle / "sampler.onnx").read_bytes() == (bundle / "sampler.onnx").read_bytes()


def test_float16_is_half_as_large_and_refused_if_it_loses_accuracy(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, out = trained / "best.safetensors", tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(accuracy_loss, "DIFFERENCE_BOUND", 1e-6)
        said = r"differ from float32's by 0\.\d+%.*--allow-accuracy-loss"
        with pytest.raises(OutputError, match=said):
            export_bundle(checkpoint, out, precision="float16")
        assert list(tmp_path.iterdir()) == []
        exported = export_bundle(checkpoint, out, precision="float16", allow_accuracy_loss=True)
    loss = exported.accuracy_loss
    assert loss is not None
    assert loss.bytes_now < 0.6 * loss.bytes
    assert 0 < loss.largest_difference < 1e-3
    for name in ("encoder", "decoder"):
        proto = onnx.load(tmp_path / "out" / f"{name}.onnx")
        assert _weight_types(tmp_path / "out" / f"{name}.onnx") == {"FLOAT16"}
        ports = [*proto.graph.input, *proto.graph.output]
        assert {port.type.tensor_type.elem_type for port in ports} == {onnx.TensorProto.FLOAT}
    app = sxvae_runtime.load(tmp_path / "out")
    assert app.verify() < 1e-6
    q = app.encode(np.random.default_rng(0).random((50, *app.input_shape)))
    for factor in app.factors:
        norms = np.linalg.norm(q.mean_direction[:, factor.slice], axis=-1)
        assert np.abs(norms - 1).max() < 1e-6


def test_the_model_repository_says_what_the_graphs_are(small: Small) -> None:
    manifest = json.loads((small.bundle / "manifest.json").read_text())
    names = ["decoder", "encoder", "sampler"]
    assert sorted(path.name for path in small.repository.iterdir()) == names
    for name in names:
        folder = small.repository / name
        assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt"]
        content = (folder / "1" / "model.onnx").read_bytes()
        assert content == (small.bundle / manifest["graphs"][name]["file"]).read_bytes()
        config = text_format.Parse(
            (folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        assert (config.name, config.platform) == (name, "onnxruntime_onnx")
        assert config.max_batch_size == 256
        assert config.HasField("dynamic_batching")
        graph = onnx.load_from_string(content).graph
        for ports, values in ((config.input, graph.input), (config.output, graph.output)):
            stated = [(port.name, port.data_type, list(port.dims)) for port in ports]
            assert stated == [
                (
                    value.name,
                    {onnx.TensorProto.FLOAT: model_config_pb2.TYPE_FP32}[
                        value.type.tensor_type.elem_type
                    ],
                    [size.dim_value for size in value.type.tensor_type.shape.dim[1:]],
                )
                for value in values
            ]
            assert all(v.type.tensor_type.shape.dim[0].dim_param == "batch" for v in values)


def test_only_a_repository_of_ours_is_replaced(
    small: Small, trained: Path, cli: Cli, tmp_path: Path
) -> None:
    shutil.copytree(small.repository, tmp_path / "models")
    foreign = tmp_path / "models" / "theirs"
    foreign.mkdir()
    (foreign / "config.pbtxt").write_text('name: "theirs"\n')
    assert (
        "not one of ours" in cli("export", trained, "--triton", "models", "--force", code=1).stderr
    )


def test_outputs_that_are_not_finite_are_never_allowed() -> None:
    """float16 gives such outputs where a weight is above 65,504."""
    for outputs, error in (({"mean": math.nan, "scale": 0.0}, 1.0), ({"mean": 0.0}, math.inf)):
        loss = AccuracyLoss(10, outputs, 1.0, error, 200, 100)
        with pytest.raises(NumericalError, match="too large for it"):
            loss.refuse_large(allowed=True)
    risen = AccuracyLoss(10, {"mean": 0.0}, 1.0, 1.02, 200, 100)
    risen.refuse_large(allowed=True)
    with pytest.raises(OutputError, match=r"squared error changes by \+2.00%"):
        risen.refuse_large(allowed=False)


@pytest.mark.parametrize("networks", [{"encoder": "cnn"}, {"decoder": "cnn"}])
def test_convolutions_are_not_quantised(networks: Any) -> None:
    settings = ProductSpaceVAE(ProductSpace.parse("2"), (1, 8, 8), **networks).settings
    refuse_precision("float16", settings)
    with pytest.raises(ConfigError, match=r"slower.*--float16"):
        refuse_precision("int8", settings)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "give --onnx, --triton DIR or --web DIR"),
        (("--triton", "t", "--out", "o"), "--out is the folder of --onnx"),
        (("--onnx", "--quantize", "int8", "--float16"), "give one of them"),
        (("--onnx", "--out", "o", "--triton", "o"), "two folders"),
        (("--onnx", "--allow-accuracy-loss"), "give --quantize int8 or --float16"),
    ],
)
def test_options_that_do_not_fit_together(
    options: tuple[str, ...], reason: str, trained: Path, cli: Cli
) -> None:
    assert reason in cli("export", trained, *options, code=2).stderr
