"""A run is written by one process at a time, at its own place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sxvae
from sxvae import ImageData, ProductSpaceVAE, TrainingSettings, fit, resume
from sxvae.errors import OutputError
from sxvae.runs.directory import RunDirectory, newest_run
from sxvae.training.fit import Callbacks

QUICK = TrainingSettings(epochs=3, burn_in=0, kl_warmup=1, eval_samples=5, batch_size=40)

Untrained = Callable[..., ProductSpaceVAE]


class AfterTheFirstEpoch(Callbacks):
    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        if metrics["epoch"] == 1:
            self._do()


def test_others_read_a_run_that_trains_and_do_not_write_it(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    looked = []

    def meddle() -> None:
        said = rf"the run \S+a is being written by process {os.getpid()} on \S+; wait for it"
        with pytest.raises(OutputError, match=said):
            resume("a", runs_dir=tmp_path, data=few_digits)
        with pytest.raises(OutputError, match=said):
            fit(untrained(1), few_digits, QUICK, name="a", runs_dir=tmp_path, force=True)
        with pytest.raises(OutputError, match="exists already"):
            fit(untrained(1), few_digits, QUICK, name="a", runs_dir=tmp_path)
        run = newest_run(tmp_path)
        sxvae.load(run.checkpoint())
        looked.append([line["epoch"] for line in run.read_metrics()])

    callbacks = AfterTheFirstEpoch(meddle)
    run = fit(untrained(), few_digits, QUICK, name="a", runs_dir=tmp_path, callbacks=callbacks)
    assert looked == [[1]]
    assert [line["epoch"] for line in run.history] == [1, 2, 3]
    assert run.evaluation is not None
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    again = fit(untrained(1), few_digits, QUICK, name="a", runs_dir=tmp_path, force=True)
    assert again.history != run.history


def test_a_run_that_is_moved_while_it_trains_ends_and_is_resumed_where_it_is(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    callbacks = AfterTheFirstEpoch(lambda: (tmp_path / "a").rename(tmp_path / "b"))
    with pytest.raises(OutputError, match="moved, deleted or replaced"):
        fit(untrained(), few_digits, QUICK, name="a", runs_dir=tmp_path, callbacks=callbacks)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    moved = resume("b", runs_dir=tmp_path, data=few_digits)
    undisturbed = fit(untrained(), few_digits, QUICK, name="c", runs_dir=tmp_path)
    assert moved.evaluation is not None
    assert undisturbed.evaluation is not None
    assert moved.evaluation["log_likelihood"] == undisturbed.evaluation["log_likelihood"]


def test_a_run_in_whose_place_another_is_put_does_not_write_into_it(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    def exchange() -> None:
        RunDirectory(tmp_path / "a").path.rename(tmp_path / "aside")
        fit(untrained(1), few_digits, QUICK, name="a", runs_dir=tmp_path)

    callbacks = AfterTheFirstEpoch(exchange)
    with pytest.raises(OutputError, match="moved, deleted or replaced"):
        fit(untrained(), few_digits, QUICK, name="a", runs_dir=tmp_path, callbacks=callbacks)
    metrics = RunDirectory(tmp_path / "a").read_metrics()
    assert [line["epoch"] for line in metrics] == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "aside"]
