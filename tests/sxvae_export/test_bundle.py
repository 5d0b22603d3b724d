from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import sxvae
import sxvae_runtime
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import DataSettings, RunSettings, TrainingSettings
from sxvae.errors import CheckpointError, OutputError
from sxvae.models.loading import to_arrays
from sxvae.models.parameters import head_layout
from sxvae.runs.checkpoint import write_checkpoint
from sxvae_export import checks, export_bundle
from sxvae_runtime.manifest import digest

ROOT = Path(__file__).parents[2]
_COMPILED = shutil.ignore_patterns("__pycache__")


def _checkpoint(path: Path, model: ProductSpaceVAE, data: DataSettings | None = None) -> Path:
    settings = RunSettings(
        model=model.settings, data=data or DataSettings(), training=TrainingSettings()
    )
    tensors = {f"model.{name}": array for name, array in to_arrays(model.state_dict()).items()}
    write_checkpoint(path, tensors, {"settings": settings.model_dump(mode="json"), "epoch": 1})
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    model = ProductSpaceVAE(ProductSpace.parse("3,1,3"), (1, 4, 4), (8,))
    return _checkpoint(tmp_path / "small.safetensors", model)


def _graph(bundle: Path, name: str) -> onnx.ModelProto:
    return onnx.load(bundle / f"{name}.onnx", load_external_data=False)


def test_files(bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == [
        "decoder.onnx",
        "encoder.onnx",
        "golden.safetensors",
        "manifest.json",
        "sampler.onnx",
    ]


def test_the_manifest_names_the_classes_of_the_data(tmp_path: Path) -> None:
    model = ProductSpaceVAE(ProductSpace.parse("1"), (1, 2, 2), (2,))
    data = DataSettings(dataset="pets", class_names=("cats", "dogs"))
    checkpoint = _checkpoint(tmp_path / "named.safetensors", model, data)
    export_bundle(checkpoint, tmp_path / "out")
    app = sxvae_runtime.load(tmp_path / "out")
    assert app.manifest.content["class_names"] == ["cats", "dogs"]


def test_manifest(bundle: Path, trained: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["format_version"] == 1
    assert manifest["sha256"] == digest(manifest)
    assert manifest["factors"] == [
        {"family": "vmf", "dim": 4, "ambient": 5, "offset": 0},
        {"family": "power-spherical", "dim": 2, "ambient": 3, "offset": 5},
        {"family": "vmf", "dim": 4, "ambient": 5, "offset": 8},
    ]
    assert manifest["input_shape"] == [1, 8, 8]
    assert manifest["binarization"] == "dynamic"
    assert "class_names" not in manifest  # digits have none
    provenance = manifest["provenance"]
    checkpoint = sxvae.runs.checkpoint.read_checkpoint(trained / "best.safetensors")
    assert provenance["checkpoint_sha256"] == checkpoint.sha256
    assert provenance["dataset"] == "digits"
    assert provenance["metrics"]["val_elbo"] == checkpoint.metadata["metrics"]["val_elbo"]
    for entry in (*manifest["graphs"].values(), manifest["golden"]):
        content = (bundle / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_graphs_have_a_dynamic_batch_and_the_stated_ports(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    ports = {
        name: [
            {port["name"]: port["shape"] for port in manifest["graphs"][name][side]}
            for side in ("inputs", "outputs")
        ]
        for name in ("encoder", "decoder", "sampler")
    }
    posterior = {"mean_direction": ["batch", 13], "concentration": ["batch", 3]}
    assert ports == {
        "encoder": [{"x": ["batch", 1, 8, 8]}, posterior],
        "decoder": [{"z": ["batch", 13]}, {"mean": ["batch", 1, 8, 8]}],
        "sampler": [
            posterior | {"uniform": ["batch", 3], "normal": ["batch", 13]},
            {"z": ["batch", 13]},
        ],
    }
    for name in ports:
        proto = _graph(bundle, name)
        onnx.checker.check_model(proto, full_check=True)
        assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [20]
        assert manifest["graphs"][name]["opset"] == 20


def test_graphs_tell_nothing_of_the_machine_that_made_them(bundle: Path) -> None:
    for name in ("encoder", "decoder", "sampler"):
        proto = _graph(bundle, name)
        assert {entry.key: entry.value for entry in proto.metadata_props} == {
            "sxvae.format_version": "1",
            "sxvae.version": sxvae.__version__,
            "sxvae.graph": name,
        }
        content = (bundle / f"{name}.onnx").read_bytes()
        assert b".py" not in content
        assert not any(tensor.external_data for tensor in proto.graph.initializer)


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_graphs_equal_the_model(bundle: Path, trained: Path, batch: int) -> None:
    model, _ = sxvae.load(trained / "best.safetensors")
    x = torch.rand(batch, *model.settings.input_shape)
    z = model.prior().sample((batch,))
    with torch.no_grad():
        expected = [*model.posterior_parameters(x)[:2], model.decode(z).mean]
    found = []
    for name, value in (("encoder", x), ("decoder", z)):
        session = onnxruntime.InferenceSession(bundle / f"{name}.onnx")
        found += session.run(None, {session.get_inputs()[0].name: value.numpy()})
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_the_same_checkpoint_gives_the_same_bytes_from_any_source_folder(tmp_path: Path) -> None:
    """All in one model: convolutions, fully connected layers, a learned radius, every family."""
    space = ProductSpace.parse("2,3,3", "vmf,normal,power-spherical", "full")
    model = ProductSpaceVAE(space, (1, 4, 4), (8,), encoder="cnn", learn_radius=True)
    checkpoint = _checkpoint(tmp_path / "model.safetensors", model)
    bundles = []
    for name in ("here", "a/longer/way/there"):
        sources, out = tmp_path / name, tmp_path / name / "out"
        for package in ("sxvae", "exports"):
            shutil.copytree(ROOT / package, sources / package, ignore=_COMPILED)
        script = (
            "import sys, sxvae, sxvae_export\n"
            "assert all(m.__file__.startswith(sys.argv[3]) for m in (sxvae, sxvae_export))\n"
            "sxvae_export.export_bundle(sys.argv[1], sys.argv[2])\n"
        )
        subprocess.run(
            [sys.executable, "-c", script, checkpoint, out, str(sources)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{sources}{os.pathsep}{sources / 'exports'}"},
            check=True,
        )
        bundles.append({path.name: path.read_bytes() for path in out.iterdir()})
    first, second = bundles
    assert set(first) == set(second)
    for name, content in first.items():
        assert hashlib.sha256(content).digest() == hashlib.sha256(second[name]).digest(), name
        assert str(tmp_path).encode() not in content


def test_large_concentrations_pass_the_relative_check(tmp_path: Path) -> None:
    """Trained concentrations reach 1,000, where float32 itself is no better than 1e-4."""
    model = ProductSpaceVAE(ProductSpace.parse("3,3"), (1, 4, 4), (8,))
    concentrations = head_layout(model.space).concentration
    with torch.no_grad():
        model.head.linear.bias[concentrations] = 5_000.0
    exported = export_bundle(_checkpoint(tmp_path / "x.safetensors", model), tmp_path / "out")
    assert exported.largest_difference < 1e-4


def test_a_graph_that_differs_from_the_model_is_not_written(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = checks.run_graph
    monkeypatch.setattr(
        checks, "run_graph", lambda *args: {name: part + 1e-3 for name, part in true(*args).items()}
    )
    with pytest.raises(OutputError, match=r"differ from PyTorch's by 0\.001"):
        export_bundle(small, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["small.safetensors"]


def test_nothing_is_written_for_a_bad_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        export_bundle(tmp_path / "none.safetensors", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_applications_would_refuse_is_not_written(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sxvae_export.bundle.ports", lambda values: [])
    with pytest.raises(OutputError, match=r"would refuse this bundle .*inputs is \[\], not a list"):
        export_bundle(small, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["small.safetensors"]
