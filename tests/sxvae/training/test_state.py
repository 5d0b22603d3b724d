"""The state of a training is stored in `last` and read back from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sxvae.config import RunSettings
from sxvae.errors import CheckpointError
from sxvae.runs.checkpoint import Checkpoint
from sxvae.training.early_stopping import EarlyStopping
from sxvae.training.state import TrainingState

SETTINGS = RunSettings.read(
    {
        "model": {"input_shape": [1, 2, 2]},
        "data": {},
        "training": {"epochs": 9, "burn_in": 1, "look_ahead": 2, "min_improvement": 0.5},
    }
)
STOPPING = EarlyStopping(1, 2, 0.5, best_elbo=-3.0, best_epoch=4, reference=-3.5, waited=2)
STATE = TrainingState(5, 1, 2, STOPPING, {"epoch": 5, "loss": 1.5})


def _checkpoint(metadata: dict[str, Any]) -> Checkpoint:
    return Checkpoint({}, SETTINGS, metadata, Path("last.safetensors"))


def test_round_trip() -> None:
    read = TrainingState.read(_checkpoint(STATE.as_metadata()))
    assert read == STATE
    assert read.stopped_early
    assert not TrainingState().stopped_early


def test_what_older_versions_did_not_store_has_its_default() -> None:
    metadata = STATE.as_metadata()
    del metadata["state"]["restarts"]
    del metadata["state"]["early_stopping"]["validated"]
    metadata["state"]["early_stopping"]["unknown"] = 7  # a newer version's
    read = TrainingState.read(_checkpoint(metadata))
    assert read.restarts == 0
    assert read.early_stopping is not None
    assert read.early_stopping.validated == 5


def test_a_checkpoint_without_a_state_or_with_a_damaged_one_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not the state of its training"):
        TrainingState.read(_checkpoint({"metrics": None}))
    damaged: Any
    for damaged in (3, [], {}):
        with pytest.raises(CheckpointError, match=r"state of training in last\.safetensors"):
            TrainingState.read(_checkpoint({"state": damaged}))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("epoch", -5, "epoch: must be at least 0, not -5"),
        ("epoch", 10**30, "epoch: must be at most 2,147,483,647, not 1000000000"),
        ("epoch", 10, "epoch: must be at most 9, not 10"),
        ("epoch", 4.5, "epoch: must be a whole number, not 4.5"),
        ("epoch", "5", "epoch: must be a whole number, not '5'"),
        ("epoch", True, "epoch: must be a whole number, not True"),
        ("restarts", [], "restarts: must be a whole number, not []"),
        ("threads", None, "threads: must be a whole number, not None"),
        ("threads", 0, "threads: must be at least 1, not 0"),
        ("threads", 10**6, "threads: must be at most 4,096, not 1000000"),
        ("stopped_early", "no", "stopped_early: must be true or false, not 'no'"),
        ("stopped_early", False, "stopped_early: it contradicts early_stopping"),
        ("early_stopping", 3, "early_stopping: settings are named values, not 3"),
        ("early_stopping.burn_in", 0, "early_stopping.burn_in: must be 1"),
        ("early_stopping.look_ahead", 10**9, "early_stopping.look_ahead: must be 2"),
        ("early_stopping.waited", -1, "early_stopping.waited: must be at least 0, not -1"),
        ("early_stopping.waited", 6, "early_stopping.waited: must be at most 5, not 6"),
        ("early_stopping.best_elbo", "x", "early_stopping.best_elbo: must be a number, not 'x'"),
        ("early_stopping.best_elbo", None, "best_epoch: an epoch and its ELBO go together"),
        ("early_stopping.best_epoch", 6, "early_stopping.best_epoch: must be at most 5, not 6"),
    ],
)
def test_a_state_of_no_training_is_refused(key: str, value: Any, sentence: str) -> None:
    metadata = STATE.as_metadata()
    *outer, last = key.split(".")
    inner = metadata["state"]
    for name in outer:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(CheckpointError) as caught:
        TrainingState.read(_checkpoint(metadata))
    beginning = "the state of training in last.safetensors can't be used: "
    assert str(caught.value).startswith(beginning)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("key", ["epoch", "threads", "stopped_early", "early_stopping"])
def test_a_state_that_lacks_a_key_is_refused(key: str) -> None:
    metadata = STATE.as_metadata()
    del metadata["state"][key]
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        TrainingState.read(_checkpoint(metadata))
