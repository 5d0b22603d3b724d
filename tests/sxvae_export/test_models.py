"""What models can be, exported: factors, networks, likelihoods, a learned radius, colour."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

import sxvae_runtime
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import DataSettings, RunSettings, TrainingSettings
from sxvae.models.loading import to_arrays
from sxvae.runs.checkpoint import write_checkpoint
from sxvae_export import Exported, export_bundle

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

_parse = ProductSpace.parse


def _mixed() -> ProductSpaceVAE:
    space = _parse("2,3,4", "vmf,normal,power-spherical", "full")
    model = ProductSpaceVAE(space, (1, 4, 4), (8,), likelihood="gaussian", learn_radius=True)
    assert model.radius is not None
    with torch.no_grad():
        model.radius.log_radius.copy_(torch.tensor([1.0, -0.5]))
    return model


MODELS: dict[str, Callable[[], ProductSpaceVAE]] = {
    "single": lambda: ProductSpaceVAE(_parse("3,1", "normal", "single"), (1, 4, 4), (8,)),
    "diagonal": lambda: ProductSpaceVAE(_parse("5", "normal"), (1, 3, 5), (8,)),
    "mixed": _mixed,
    "categorical": lambda: ProductSpaceVAE(
        _parse("2,3", "vmf,normal"),
        (1, 8, 12),
        encoder="cnn",
        decoder="cnn",
        likelihood="categorical",
    ),
    "colour": lambda: ProductSpaceVAE(
        _parse("2,2"), (3, 8, 4), (8,), encoder="cnn", likelihood="gaussian", gaussian_scale=0.1
    ),
}
# The outputs' widths: mean_direction, concentration, scale; one without entries is left out.
WIDTHS = {
    "single": {"mean_direction": 4, "scale": 2},
    "diagonal": {"mean_direction": 5, "scale": 5},
    "mixed": {"mean_direction": 11, "concentration": 2, "scale": 9},
    "categorical": {"mean_direction": 6, "concentration": 1, "scale": 3},
    "colour": {"mean_direction": 6, "concentration": 2},
}


class Case(NamedTuple):
    name: str
    model: ProductSpaceVAE
    exported: Exported

    @property
    def path(self) -> Path:
        return self.exported.path


@pytest.fixture(scope="module", params=MODELS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A model and its bundle, exported once."""
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[request.param]().eval()
    likelihood = model.settings.likelihood
    data = DataSettings(binarization="dynamic" if likelihood == "bernoulli" else "none")
    settings = RunSettings(model=model.settings, data=data, training=TrainingSettings())
    tensors = {f"model.{name}": array for name, array in to_arrays(model.state_dict()).items()}
    checkpoint = folder / "best.safetensors"
    metadata = {"settings": settings.model_dump(mode="json"), "epoch": 1}
    write_checkpoint(checkpoint, tensors, metadata)
    return Case(request.param, model, export_bundle(checkpoint, folder / "bundle"))


def test_the_export_was_checked(case: Case) -> None:
    assert 0 < case.exported.largest_difference < 1e-5


@torch.no_grad()
def test_graphs_equal_the_model_at_any_batch(case: Case) -> None:
    model = case.model
    for name in ("encoder", "decoder"):
        session = onnxruntime.InferenceSession(case.path / f"{name}.onnx")
        for batch in (1, 7, 300):
            if name == "encoder":
                value = torch.rand(batch, *model.settings.input_shape)
                expected = [part for part in model.posterior_parameters(value) if part.shape[-1]]
            else:
                value = model.prior().sample((batch,))
                expected = [model.decode(value).mean]
            found = session.run(None, {session.get_inputs()[0].name: value.numpy()})
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_ports_and_factors_of_the_manifest(case: Case) -> None:
    manifest = json.loads((case.path / "manifest.json").read_text())
    space, shape = case.model.space, list(case.model.settings.input_shape)
    encoder, decoder = manifest["graphs"]["encoder"], manifest["graphs"]["decoder"]
    assert [(port["name"], port["shape"]) for port in encoder["outputs"]] == [
        (name, ["batch", width]) for name, width in WIDTHS[case.name].items()
    ]
    assert [(port["name"], port["shape"]) for port in decoder["outputs"]] == [
        ("mean", ["batch", *shape])
    ]
    for found, factor in zip(manifest["factors"], space.factors, strict=True):
        expected = {
            "family": factor.family,
            "dim": factor.dim,
            "ambient": factor.ambient,
            "offset": factor.offset,
        }
        if factor.family == "normal":
            expected["covariance"] = space.covariance
        assert found == expected
    assert manifest["format_version"] == 1
    assert manifest["likelihood"] == case.model.settings.likelihood


def test_graphs_hold_plain_operators_in_one_file_each(case: Case) -> None:
    """Standard ONNX of the stated opset, no random operator, no function, no outside tensor."""
    assert sorted(case.exported.files) == [
        "decoder.onnx",
        "encoder.onnx",
        "golden.safetensors",
        "manifest.json",
        "sampler.onnx",
    ]
    for name in ("encoder", "decoder", "sampler"):
        proto = onnx.load(case.path / f"{name}.onnx", load_external_data=False)
        onnx.checker.check_model(proto, full_check=True)
        assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 20)]
        assert not proto.functions
        assert not any("Random" in node.op_type or node.domain for node in proto.graph.node)
        assert not any(tensor.external_data for tensor in proto.graph.initializer)


@torch.no_grad()
def test_the_runtime_gives_what_the_model_gives(case: Case) -> None:
    app, model = sxvae_runtime.load(case.path), case.model
    assert app.verify() < 1e-5
    x = torch.rand(5, *model.settings.input_shape)
    loc, concentration, scale = model.posterior_parameters(x)
    q = app.encode(x.numpy())
    np.testing.assert_allclose(q.mean_direction, loc, atol=1e-5)
    np.testing.assert_allclose(q.concentration, concentration, rtol=1e-4)
    if model.space.scales:
        assert q.scale is not None
        np.testing.assert_allclose(q.scale, scale, rtol=1e-4, atol=1e-6)
    else:
        assert q.scale is None
    np.testing.assert_allclose(app.reconstruct(x.numpy()), model.decode(loc).mean, atol=1e-5)
    z = torch.from_numpy(app.sample_posterior(q, samples=20_000, seed=0))
    posterior = model.encode(x)
    assert posterior.log_prob(z).isfinite().all()
    # 5 standard errors over at most 55 means of coordinates: a false alarm in 30,000 runs.
    error = (z.mean(dim=0) - posterior.mean) / (z.var(dim=0) / len(z)).sqrt()
    assert error.abs().max() < 5


def test_golden_file_holds_every_output(case: Case) -> None:
    app = sxvae_runtime.load(case.path)
    golden = load_file(case.path / "golden.safetensors")
    noise = {"uniform", "normal"} if case.model.space.spheres else {"normal"}
    assert set(golden) == {"x", "z", "mean", "sample", *noise, *WIDTHS[case.name]}
    assert {len(array) for array in golden.values()} == {4}
    for factor in app.factors:
        for name in ("z", "sample"):
            norms = np.linalg.norm(golden[name][:, factor.slice], axis=-1)
            assert np.allclose(norms, 1, atol=1e-6) == factor.is_sphere


@pytest.mark.parametrize("case", ["mixed", "categorical"], indirect=True)
def test_the_command_line_takes_them(case: Case, cli: Cli) -> None:
    shown = json.loads(cli("inspect", case.path, "--json").stdout)
    assert shown["factors"][1]["covariance"] == case.model.space.covariance
    assert "covariance" in cli("inspect", case.path).stdout
    assert json.loads(cli("verify", case.path, "--json").stdout)["largest_difference"] < 1e-5
    out = case.path.parent / "samples.png"
    cli("sample", case.path, "--n", "9", "--out", out)
    assert out.read_bytes().startswith(b"\x89PNG")
