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

SETTINGS = RunSettings.read({"model": {"input_shape": [1, 2, 2]}, "data": {}, "training": {}})
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
    for damaged in ({}, {"epoch": "x"}, {"epoch": 1, "threads": 1, "early_stopping": 3}):
        with pytest.raises(CheckpointError, match=r"state of training in last\.safetensors"):
            TrainingState.read(_checkpoint({"state": damaged}))
