"""metrics.jsonl and evaluation.json, as we write them and as somebody else might."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sxvae.errors import CheckpointError
from sxvae.runs.directory import RunDirectory

EVALUATION: dict[str, Any] = {
    "log_likelihood": -20.5,
    "log_likelihood_se": None,
    "elbo": -21,
    "reconstruction": -15.0,
    "kl": 6.0,
    "kl_per_factor": [4.0, 2.0],
    "concentration_per_factor": [30.0, None],
    "images": 1,
    "samples": 500,
    "seed": 0,
    "split": "test",
    "checkpoint": "runs/a/best.safetensors",
    "dataset": "digits",
}
EPOCH: dict[str, Any] = {
    "epoch": 1,
    "loss": 3.5,
    "reconstruction": -3.0,
    "kl": 0.5,
    "kl_per_factor": [0.5],
}


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30 + 1)


ODD_FILES = pytest.mark.parametrize(
    ("make", "what"),
    [
        (_pipe, "is a named pipe and no file"),
        (_device, "is a device and no file"),
        (_folder, "is a folder and no file"),
        (_large, "has 1,073,741,825 bytes"),
    ],
)
ODD_TEXTS = pytest.mark.parametrize(
    "text",
    ["", "3", "[]", "{", "[" * 10**5, '{"a":' * 10**5, '{"epoch": 1, "epoch": 1}', "\udcff"],
)


def test_an_evaluation_is_read_without_keys_that_are_not_known(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.read_evaluation() is None
    run.write_evaluation(EVALUATION | {"later": {"a": [1]}})
    assert run.read_evaluation() == EVALUATION
    whole = EVALUATION | {"effective_sample_size": 3.5, "active_factors": 2, "binarization": "x"}
    run.write_evaluation(whole)
    assert run.read_evaluation() == whole
    elsewhere = tmp_path / "elsewhere.json"
    run.evaluation.rename(elsewhere)
    run.evaluation.symlink_to(elsewhere)
    assert run.read_evaluation() == whole


@pytest.mark.parametrize("missing", EVALUATION)
def test_an_evaluation_that_lacks_a_metric_counts_as_missing(tmp_path: Path, missing: str) -> None:
    run = RunDirectory(tmp_path)
    run.write_evaluation({key: value for key, value in EVALUATION.items() if key != missing})
    assert run.read_evaluation() is None


@pytest.mark.parametrize(
    "change",
    [
        {"elbo": "3"},
        {"elbo": True},
        {"elbo": float("nan")},
        {"elbo": 1e300},
        {"elbo": 10**999},
        {"kl_per_factor": 3.0},
        {"kl_per_factor": [None]},
        {"kl_per_factor": {"0": 1.0}},
        {"kl_per_factor": [0] * (2**20 + 1)},
        {"concentration_per_factor": ["x"]},
        {"images": 0},
        {"images": 3.0},
        {"seed": -1},
        {"split": "all"},
        {"dataset": ["digits"]},
        {"checkpoint": "x" * 5_000},
        {"active_factors": -1},
    ],
)
def test_an_evaluation_of_other_types_counts_as_missing(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    run = RunDirectory(tmp_path)
    run.write_evaluation(EVALUATION | change)
    assert run.read_evaluation() is None


@ODD_TEXTS
def test_an_evaluation_that_is_none_counts_as_missing(tmp_path: Path, text: str) -> None:
    run = RunDirectory(tmp_path)
    run.evaluation.write_bytes(text.encode(errors="surrogateescape"))
    assert run.read_evaluation() is None


@ODD_FILES
def test_odd_files_are_not_opened(tmp_path: Path, make: Callable[[Path], None], what: str) -> None:
    run = RunDirectory(tmp_path)
    make(run.evaluation)
    assert run.read_evaluation() is None
    make(run.metrics)
    with pytest.raises(CheckpointError, match=rf"metrics\.jsonl {what}"):
        run.read_metrics()
    with pytest.raises(CheckpointError, match=rf"metrics\.jsonl {what}"):
        run.cut_back(0, 0)
    run.metrics.rmdir() if run.metrics.is_dir() else run.metrics.unlink()
    make(run.restarts)
    with pytest.raises(CheckpointError, match=rf"restarts\.jsonl {what}"):
        run.cut_back(0, 0)


@ODD_TEXTS
def test_a_line_that_is_no_epoch_is_named(tmp_path: Path, text: str) -> None:
    run = RunDirectory(tmp_path)
    run.append_metrics(EPOCH)
    with run.metrics.open("ab") as file:
        file.write(text.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(
        CheckpointError, match=r"line 2 of .*metrics\.jsonl is damaged \("
    ) as caught:
        run.read_metrics()
    assert "JSON object of epoch 2" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"epoch": 2}, "its epoch is 2"),
        ({"epoch": 1.0}, "epoch: must be a whole number, not 1.0"),
        ({"epoch": True}, "epoch: must be a whole number, not True"),
        ({"loss": "\x1b[2J"}, r"loss: must be a number, not '\x1b[2J'"),
        ({"loss": None}, "loss: must be a number, not None"),
        ({"loss": float("inf")}, "loss is inf, not a finite number"),
        ({"loss": 1e200}, "loss: must be"),
        ({"kl_per_factor": "ab"}, "kl_per_factor: must be"),
        ({"kl_per_factor": [[1]]}, "kl_per_factor: must be"),
    ],
)
def test_a_line_of_other_types_is_named(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    run = RunDirectory(tmp_path)
    run.metrics.write_text(json.dumps(EPOCH | change) + "\n")
    with pytest.raises(CheckpointError) as caught:
        run.read_metrics()
    assert reason in str(caught.value)


def test_reconstruction_and_kl_belong_together(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.append_metrics({"epoch": 1, "kl": 3.0})
    with pytest.raises(CheckpointError, match="one of reconstruction and kl without the other"):
        run.read_metrics()
