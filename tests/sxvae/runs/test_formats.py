"""Fixtures are kept for good: files as every released format had them, and what they gave then."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import sxvae
from sxvae import resume
from sxvae.errors import CheckpointError
from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.formats import FORMAT_VERSION, to_present_format

FIXTURES = Path(__file__).parents[1] / "fixtures"
# Each with the outputs that the version of sxvae that wrote it computed. `full` is a run directory.
WITH_OUTPUTS = {
    "single_v1": FIXTURES / "single_v1.safetensors",
    "diagonal_v1": FIXTURES / "diagonal_v1.safetensors",
    "euclidean_v1": FIXTURES / "euclidean_v1.safetensors",
    "full_v1": FIXTURES / "run_v1" / "best.safetensors",
    "mixed_v2": FIXTURES / "mixed_v2.safetensors",
}


def test_the_first_release_is_readable() -> None:
    model, run = sxvae.load(FIXTURES / "checkpoint_v1.safetensors")
    assert run.model.z_dims == (2, 1)
    assert run.data.dataset == "digits"
    assert model.space.ambient == 5
    total = sum(parameter.double().abs().sum().item() for parameter in model.parameters())
    assert total == pytest.approx(160.3217893372057, rel=1e-6)


@pytest.mark.parametrize("name", WITH_OUTPUTS)
def test_models_give_what_they_gave(name: str) -> None:
    model, _ = sxvae.load(WITH_OUTPUTS[name])
    stored = load_file(FIXTURES / f"{name}_outputs.safetensors")
    x = torch.from_numpy(stored["x"])
    with torch.no_grad():
        found = model.posterior_parameters(x)._asdict()
        found["kl"] = model.encode(x).kl_per_factor(model.prior())
        found["mean"] = model.decode(found["loc"]).mean
        torch.manual_seed(5)
        found["elbo"] = model.elbo(x).elbo
        torch.manual_seed(5)
        found["log_likelihood"] = model.importance_log_likelihood(x, 20)
    for key, value in found.items():
        np.testing.assert_allclose(value.numpy(), stored[key], rtol=1e-5, atol=1e-5)


def test_a_run_of_format_1_is_resumed_as_it_would_have_been(tmp_path: Path) -> None:
    """Two epochs more, to the weights that the version that wrote it would have reached."""
    shutil.copytree(FIXTURES / "run_v1", tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / "last.safetensors").metadata["format_version"] == 1
    run = resume(tmp_path / "run", threads=1)
    assert run.epochs == 4
    last = read_checkpoint(run.directory.last)
    assert last.metadata["format_version"] == FORMAT_VERSION
    stored = load_file(FIXTURES / "full_v1_outputs.safetensors")
    expected = to_present_format(
        {
            name.removeprefix("resumed."): array
            for name, array in stored.items()
            if name.startswith("resumed.")
        },
        1,
    )
    found = {f"model.{name}": array for name, array in last.part("model").items()}
    assert found.keys() == expected.keys()
    before = read_checkpoint(FIXTURES / "run_v1" / "last.safetensors").tensors
    for name, array in expected.items():
        assert np.abs(array - before[name]).max() > 1e-3  # much has changed since
        np.testing.assert_allclose(found[name], array, atol=1e-5)


def test_an_optimizer_that_does_not_belong_to_the_head_is_refused() -> None:
    tensors = {
        "model.head.loc.weight": np.zeros((3, 4)),
        "model.head.loc.bias": np.zeros(3),
        "optimizer.0.exp_avg": np.zeros(7),
    }
    with pytest.raises(CheckpointError, match=r"state of model\.head\.loc\.weight is missing"):
        to_present_format(tensors, 1)
