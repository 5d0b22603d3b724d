"""Every option of training through the command line, on models of all kinds."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from sxvae.runs.checkpoint import read_checkpoint

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

QUICK = ("--epochs", "3", "--burn-in", "0", "--kl-warmup", "1", "--eval-samples", "10", "--quiet")


def _metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_mixed_space_with_schedules(cli: Cli, tmp_path: Path) -> None:
    cli(
        *("train", *QUICK, "--name", "a", "--h-dims", "32"),
        *("--z-dims", "4,3,2", "--distribution", "vmf,normal,power-spherical"),
        *("--covariance", "full", "--learn-radius", "--kl-freeze", "1", "--beta", "0.5"),
        *("--lr-schedule", "cosine", "--max-grad-norm", "5", "--val-every", "2"),
        *("--val-log-likelihood", "5", "--save-every", "2", "--max-restarts", "1"),
        "--tensorboard",
    )
    run = tmp_path / "runs" / "a"
    lines = _metrics(run)
    assert [line["kl_weight"] for line in lines] == [0, 0, 0.5]
    assert [line["lr"] for line in lines] == pytest.approx([1e-3, 0.75e-3, 0.25e-3])
    assert ["val_log_likelihood" in line for line in lines] == [False, True, True]
    assert list((run / "tensorboard").iterdir())
    last = read_checkpoint(run / "last.safetensors")
    assert last.metadata["epoch"] == 3
    assert last.tensors["model.radius.log_radius"].shape == (2,)
    assert (last.tensors["model.radius.log_radius"] != 0).all()
    assert last.tensors["model.head.linear.weight"].shape == (11 + 2 + 6, 32)
    metrics = json.loads((run / "evaluation.json").read_text())
    assert metrics["concentration_per_factor"][1] is None
    assert 1 <= metrics["effective_sample_size"] <= 10
    assert metrics["active_factors"] == metrics["collapsed"].count(False)

    done = cli("eval", run, "--probe", "--samples", "4", "--limit", "50", "--json")
    probe = json.loads(done.stdout)["probe"]
    assert set(probe["accuracy"]) == {"100", "600", "1000"}
    for found in probe["accuracy"].values():
        assert len(found["per_factor"]) == 3
        assert 0.15 < found["joint"] <= 1  # guessing gives 0.1

    for name in ("e.npz", "e.safetensors", "e.csv"):
        cli("encode", run, "--out", name, "--samples", "2", "--limit", "7", "--split", "train")
    arrays = dict(np.load(tmp_path / "e.npz"))
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "loc": (7, 11),
        "concentration": (7, 2),
        "scale": (7, 9),
        "label": (7,),
        "z": (2, 7, 11),
    }
    assert arrays["label"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    for name, array in load_file(tmp_path / "e.safetensors").items():
        np.testing.assert_array_equal(array, arrays[name])
    with (tmp_path / "e.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[3]["z_1_10"]) == pytest.approx(arrays["z"][1, 3, 10], rel=1e-5)
    assert float(rows[3]["scale_8"]) == pytest.approx(arrays["scale"][3, 8], rel=1e-5)
    norms = np.linalg.norm(arrays["z"][..., :5], axis=-1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    assert "--force" in cli("encode", run, "--out", "e.csv", code=1).stderr
    assert "names no format" in cli("encode", run, "--out", "e.txt", code=2).stderr


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (
            ("--encoder", "cnn", "--decoder", "cnn", "--likelihood", "categorical"),
            {"model.decoder.layers.7.convolution.weight": (512, 32, 5, 5)},
        ),
        (
            ("--likelihood", "gaussian", "--z-dims", "3", "--distribution", "normal"),
            {"model.likelihood.log_scale": (), "model.head.linear.weight": (3 + 3, 128)},
        ),
        (
            (
                *("--likelihood", "gaussian", "--gaussian-scale", "0.2", "--kl-target", "2"),
                *("--z-dims", "2,3", "--distribution", "normal", "--covariance", "single"),
                *("--kl-warmup", "0"),
            ),
            {"model.head.linear.weight": (5 + 2, 128)},
        ),
        (
            ("--z-dims", "9", "--encoder", "cnn", "--train-samples", "2"),
            {"model.encoder.layers.5.convolution.weight": (512, 64, 2, 2)},
        ),
    ],
)
def test_models_of_all_kinds(
    cli: Cli,
    tmp_path: Path,
    options: tuple[str, ...],
    parameters: dict[str, tuple[int, ...]],
) -> None:
    cli("train", *QUICK, "--epochs", "1", "--batch-size", "200", "--name", "a", *options)
    run = tmp_path / "runs" / "a"
    best = read_checkpoint(run / "best.safetensors")
    for name, shape in parameters.items():
        assert best.tensors[name].shape == shape
    metrics = json.loads((run / "evaluation.json").read_text())
    bernoulli = "--likelihood" not in options
    assert metrics["binarization"] == ("fixed" if bernoulli else "none")
    # With ten samples the estimate may lie below the ELBO by noise, but by little.
    assert metrics["log_likelihood"] > metrics["elbo"] - 0.5
    if "--kl-target" in options:  # the mean of distances is at least the distance of the mean
        for line in _metrics(run):
            distance = line["loss"] + line["reconstruction"]
            assert distance >= abs(line["kl"] - 2) - 1e-3
            assert distance > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--covariance", "full"), "--covariance full: only normal factors have one"),
        (
            ("--learn-radius", "--distribution", "normal"),
            "--learn-radius: only spheres have a radius",
        ),
        (("--gaussian-scale", "0.1"), "--gaussian-scale 0.1: a bernoulli likelihood has no scale"),
        (
            ("--likelihood", "gaussian", "--gaussian-scale", "wide"),
            "--gaussian-scale wide: must be a number or learned",
        ),
        (
            ("--likelihood", "gaussian", "--gaussian-scale", "0.001"),
            "--gaussian-scale 0.001: must be at least 0.01",
        ),
        (
            ("--likelihood", "gaussian", "--binarization", "dynamic"),
            "--binarization dynamic: only a Bernoulli likelihood",
        ),
        (
            ("--kl-target", "1", "--train-samples", "3"),
            "--kl-target 1.0: the importance-weighted bound has no KL",
        ),
        (("--encoder", "cnn", "--decoder", "cnn", "--h-dims", "7"), "--h-dims 7: convolutional"),
        (("--image-size", "a"), "--image-size a: must be a size"),
        (("--lr-schedule", "step"), "Invalid value for '--lr-schedule': 'step' is not one of"),
        (("--max-restarts", "-1"), "--max-restarts -1: must be at least 0"),
        (("--save-every", "0"), "--save-every 0: must be at least 1"),
    ],
)
def test_options_that_contradict_each_other(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = cli("train", *arguments, code=2)
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_errors_name_options_and_leave_paths_alone(cli: Cli, tmp_path: Path) -> None:
    """Folders and files may be named like settings."""
    folder = tmp_path / "batch_size" / "epochs"
    folder.mkdir(parents=True)
    config = folder / "kl_warmup.json"
    assert f"{config} can't be read" in cli("train", "--config", config, code=2).stderr
    np.save(folder / "z_dims.npy", np.random.default_rng(0).random((30, 1, 4, 4)))
    data = ("--dataset", folder / "z_dims.npy")
    done = cli("train", *data, "--image-size", "8", code=2)
    assert f"--image-size 8: only image files in a folder are resized, and {folder}" in done.stderr
    done = cli("train", *data, "--data-dir", folder, code=2)
    assert "--data-dir /" in done.stderr  # a long value is cut
    assert f": it is for data sets with a name, and {folder}/z_dims.npy says" in done.stderr
    assert "--batch-size 0: must be at least 1" in cli("train", "--batch-size", "0", code=2).stderr
    config.write_text('{"format_version": 1, "model": {"input_shape": [1]}, "data": {}}')
    assert f"{config}: model.input_shape" in cli("train", "--config", config, code=2).stderr


def test_convolutions_take_sizes_divisible_by_4_and_each_side_for_itself(
    cli: Cli, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for height, width in ((6, 8), (12, 8)):
        np.save(tmp_path / f"{height}x{width}.npy", rng.random((30, 2, height, width)))
    done = cli("train", "--dataset", "6x8.npy", "--decoder", "cnn", code=2)
    assert "divisible by 4, not 6 x 8" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
    cli("train", *QUICK, "--dataset", "12x8.npy", "--decoder", "cnn", "--name", "a")
    tensors = read_checkpoint(tmp_path / "runs" / "a" / "best.safetensors").tensors
    assert tensors["model.encoder.layers.1.weight"].shape == (256, 2 * 12 * 8)
    assert tensors["model.decoder.layers.1.convolution.weight"].shape == (10, 128, 3, 2)
    assert tensors["model.decoder.layers.7.weight"].shape == (2, 32, 1, 1)


def test_options_replace_what_a_config_has_for_something_else(cli: Cli, tmp_path: Path) -> None:
    cli(
        *("train", *QUICK, "--epochs", "1", "--eval-samples", "0", "--h-dims", "16", "--name", "a"),
        *("--likelihood", "gaussian", "--gaussian-scale", "0.2", "--learn-radius", "--tensorboard"),
        *("--z-dims", "2,2", "--distribution", "vmf,normal", "--covariance", "full"),
    )
    config = tmp_path / "runs" / "a" / "config.json"
    cli(
        *("train", "--config", config, "--name", "b", "--quiet", "--likelihood", "bernoulli"),
        *("--distribution", "vmf", "--no-learn-radius", "--no-tensorboard"),
    )
    settings = json.loads((tmp_path / "runs" / "b" / "config.json").read_text())
    assert settings["model"]["likelihood"] == "bernoulli"
    assert settings["model"]["gaussian_scale"] == "learned"
    assert settings["model"]["covariance"] == "diagonal"
    assert settings["model"]["learn_radius"] is False
    assert settings["data"]["binarization"] == "dynamic"
    assert settings["training"]["tensorboard"] is False
    assert settings["training"]["epochs"] == 1
    assert not (tmp_path / "runs" / "b" / "tensorboard").exists()
    config.write_text(config.read_text().replace('"epochs": 1', '"epochs": "many"'))
    done = cli("train", "--config", config, "--name", "c", code=2)
    assert f"{config}: training.epochs: must be a whole number" in done.stderr
    remark = cli("train", *QUICK[:-1], "--kl-warmup", "6", "--h-dims", "8").stderr
    assert "the KL's weight ends at 0.33 of 1" in remark


_FAULTY = """
import torch
from sxvae.models.vae import ProductSpaceVAE
from sxvae_cli.main import main
decode, calls = ProductSpaceVAE.decode, 0
def faulty(self, z):
    global calls
    calls += self.training
    if self.training and {condition}:
        z = z * torch.nan
    return decode(self, z)
ProductSpaceVAE.decode = faulty
main()
"""


def _train_with_fault(folder: Path, condition: str) -> subprocess.CompletedProcess[str]:
    code = _FAULTY.format(condition=condition)
    arguments = ("train", *QUICK[:-1], "--h-dims", "16", "--name", "a")
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_fault_is_told_and_survived(tmp_path: Path) -> None:
    done = _train_with_fault(tmp_path, "calls == 20")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "restart 1 goes on after epoch 1" in line]
    assert len(told) == 1
    restart = json.loads((tmp_path / "runs" / "a" / "restarts.jsonl").read_text())
    assert restart["loss"] == "nan"
    assert len(_metrics(tmp_path / "runs" / "a")) == 3


def test_a_fault_that_stays_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    done = _train_with_fault(tmp_path, "calls > 20")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "after 5 restarts; train again with a lower --lr" in done.stderr.splitlines()[-1]
    last = read_checkpoint(tmp_path / "runs" / "a" / "last.safetensors")
    assert last.metadata["epoch"] == 1
    assert all(np.isfinite(array).all() for array in last.tensors.values())
    assert json.loads(cli("eval", "a", "--samples", "2", "--json").stdout)["images"] == 250


def test_a_full_disk_leaves_a_good_last_checkpoint(tmp_path: Path) -> None:
    """On a file system of 700 KB: a checkpoint fits, with its replacement it does not."""
    runs = tmp_path / "runs"
    runs.mkdir()
    mount = f"mount -t tmpfs -o size=700k tmpfs {runs}"
    trial = ["unshare", "-rm", "sh", "-c", mount]
    if shutil.which("unshare") is None or subprocess.run(trial, check=False).returncode != 0:
        pytest.skip("a small file system can't be mounted here")
    command = " ".join(
        [sys.executable, "-m", "sxvae_cli", "train", *QUICK, "--h-dims", "192", "--name", "a"]
    )
    script = f"{mount} && {command}; code=$?; cp -r {runs}/a {tmp_path}/left; exit $code"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert "can't be written (No space left on device)" in done.stderr
    last = read_checkpoint(tmp_path / "left" / "last.safetensors")
    assert all(np.isfinite(array).all() for array in last.part("model").values())
    assert not list((tmp_path / "left").glob(".*"))
