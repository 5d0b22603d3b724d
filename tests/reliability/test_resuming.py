"""Trainings of many kinds, cut short at random moments and resumed: the same bits at the end."""

from __future__ import annotations

import importlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.directory import RunDirectory
from tests.reliability.harness import KILLED, Harness
from tests.reliability.trees import Tree, differences, tree
from tests.reliability.warm import TRAINING, write_images

_INTERRUPTED = 130

_COMBINATIONS = {
    "cosine": ("--lr-schedule", "cosine"),
    "train samples": ("--train-samples", "3", "--distribution", "power-spherical"),
    "KL target": ("--kl-target", "2", "--kl-freeze", "1", "--kl-warmup", "2"),
    "radius": ("--learn-radius", "--z-dims", "2,3"),
    "convolutions": ("--encoder", "cnn", "--decoder", "mlp", "--epochs", "2"),
    "full covariance": ("--z-dims", "3", "--distribution", "normal", "--covariance", "full"),
    "mixed": ("--z-dims", "2,3,2", "--distribution", "vmf,normal,power-spherical"),
    "rare": ("--val-every", "3", "--save-every", "4", "--epochs", "7", "--val-log-likelihood", "3"),
    "stopped early": ("--look-ahead", "2", "--min-improvement", "1000", "--epochs", "9"),
    "burn-in": ("--burn-in", "2", "--max-grad-norm", "1", "--batch-size", "5"),
    "gaussian": ("--likelihood", "gaussian"),
    "categorical": ("--likelihood", "categorical"),
    "dynamic": ("--binarization", "dynamic"),
    "threads": ("--threads", "2"),
    "pictures": ("--tensorboard", "--sample-every", "2"),
}


@pytest.mark.parametrize("name", _COMBINATIONS)
def test_a_training_killed_twice_ends_with_the_same_bits(
    harness: Harness, tmp_path: Path, name: str
) -> None:
    chance = random.Random(name)
    write_images(tmp_path)
    start = ("train", *TRAINING, "--epochs", "4", *_COMBINATIONS[name], "--name", "run", "--quiet")
    resume = ("train", "--resume", "run", "--quiet")
    run = tmp_path / "runs" / "run"
    calm = harness.run(*start, cwd=tmp_path, watched=tmp_path)
    assert calm.code == 0, calm.err
    _check_best(RunDirectory(run))
    wanted = _without_events(run)
    shutil.rmtree(tmp_path / "runs")

    begun = next(i for i, operation in enumerate(calm.operations) if "metrics.jsonl" in operation)
    moment = chance.randrange(begun, len(calm.operations) - 1)
    assert harness.run(*start, cwd=tmp_path, watched=tmp_path, kill_at=moment).code == KILLED
    again = chance.randrange(len(calm.operations) - moment)
    assert harness.run(*resume, cwd=tmp_path, watched=tmp_path, kill_at=again).code in (0, KILLED)
    done = harness.run(*resume, cwd=tmp_path)
    assert done.code == 0, done.err
    assert not differences(_without_events(run), wanted), f"killed at {moment}, then at {again}"
    if "--tensorboard" in start:
        _check_events(run)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_training_extended_and_killed_ends_with_the_same_bits(
    harness: Harness, tmp_path: Path, schedule: str
) -> None:
    """With a constant rate those of a longer one from the start; with a cosine those of another."""
    chance = random.Random(schedule)
    write_images(tmp_path)
    options = ("train", *TRAINING, "--lr-schedule", schedule, "--quiet")
    short = (*options, "--epochs", "2", "--name", "run")
    extend = ("train", "--resume", "run", "--epochs", "5", "--quiet")
    run = tmp_path / "runs" / "run"
    assert harness.run(*short, cwd=tmp_path).code == 0
    shutil.copytree(tmp_path / "runs", tmp_path / "short")
    calm = harness.run(*extend, cwd=tmp_path, watched=tmp_path)
    assert calm.code == 0, calm.err
    wanted = _without_events(run)

    for _ in range(3):
        shutil.rmtree(tmp_path / "runs")
        shutil.copytree(tmp_path / "short", tmp_path / "runs")
        moment = chance.randrange(len(calm.operations))
        killed = harness.run(*extend, cwd=tmp_path, watched=tmp_path, kill_at=moment)
        assert killed.code == KILLED
        done = harness.run(*extend, cwd=tmp_path)
        assert done.code == 0, done.err
        assert not differences(_without_events(run), wanted), f"killed at {moment}"

    if schedule == "constant":
        assert harness.run(*options, "--epochs", "5", "--name", "long", cwd=tmp_path).code == 0
        long = read_checkpoint(tmp_path / "runs" / "long" / "last.safetensors")
        last = read_checkpoint(run / "last.safetensors")
        assert last.tensors.keys() == long.tensors.keys()
        for key, tensor in last.tensors.items():
            np.testing.assert_array_equal(tensor, long.tensors[key])


def test_ctrl_c_at_any_moment(harness: Harness, tmp_path: Path) -> None:
    """It ends with 130 and one sentence, or with 0 where the work was done; the rest as killed."""
    chance = random.Random("Ctrl-C")
    write_images(tmp_path)
    start = ("train", *TRAINING, "--epochs", "3", "--name", "run", "--quiet")
    run = tmp_path / "runs" / "run"
    calm = harness.run(*start, cwd=tmp_path, watched=tmp_path)
    wanted = tree(tmp_path)
    for moment in sorted(chance.sample(range(len(calm.operations)), 12)):
        shutil.rmtree(tmp_path / "runs")
        done = harness.run(*start, cwd=tmp_path, watched=tmp_path, interrupt_at=moment)
        assert done.code in (0, _INTERRUPTED), f"at {moment}: {done.err}"
        assert len(done.err.strip().splitlines()) == (done.code == _INTERRUPTED), done.err
        again = ("train", "--resume", "run", "--quiet") if run.exists() else start
        resumed = harness.run(*again, cwd=tmp_path)
        assert resumed.code == 0, resumed.err
        assert not differences(tree(tmp_path), wanted), f"interrupted at {moment}"


def _without_events(run: Path) -> Tree:
    """A run's files without TensorBoard's, of which each process writes one."""
    whole = tree(run)
    return {name: content for name, content in whole.items() if "tensorboard/" not in name}


def _check_best(run: RunDirectory) -> None:
    """`best` is what metrics.jsonl says: the first of the highest ELBO after burn-in."""
    best = read_checkpoint(run.best)
    burn_in = best.settings.training.burn_in
    epochs = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    counted = [epoch for epoch in epochs if epoch["epoch"] > burn_in and "val_elbo" in epoch]
    highest = max(counted, key=lambda epoch: (epoch["val_elbo"], -epoch["epoch"]))
    assert best.metadata["epoch"] == highest["epoch"]
    assert best.metadata["metrics"]["val_elbo"] == highest["val_elbo"]
    evaluation = run.read_evaluation()
    assert evaluation is not None
    assert evaluation["checkpoint"].endswith("best.safetensors")


def _check_events(run: Path) -> None:
    """TensorBoard shows each epoch once, with the numbers of metrics.jsonl."""
    reader = "tensorboard.backend.event_processing.event_accumulator"
    events = importlib.import_module(reader).EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("val_elbo")}
    written = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(events.Scalars("val_elbo")) == len(written)
    assert shown == pytest.approx({line["epoch"]: line["val_elbo"] for line in written})
