"""The state of a training at the end of an epoch: captured, stored in `last`, and restored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from sxvae.devices import MOST_THREADS
from sxvae.errors import CheckpointError, ConfigError
from sxvae.models.loading import to_arrays, to_tensors
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import Checkpoint
from sxvae.runs.formats import Arrays
from sxvae.setting_types import NotNegative, Positive
from sxvae.settings import Settings
from sxvae.training.early_stopping import EarlyStopping


class _StoredStopping(Settings):
    """The types and bounds of `EarlyStopping` in a file."""

    burn_in: NotNegative
    look_ahead: Positive
    min_improvement: Annotated[float, Field(ge=0)]
    best_elbo: float | None = None
    best_epoch: Positive | None = None
    reference: float | None = None
    waited: NotNegative = 0
    validated: NotNegative | None = None  # version 0.1 did not store it


class _StoredState(Settings):
    """The types and bounds of a training's state in a file."""

    epoch: NotNegative
    restarts: NotNegative = 0
    stopped_early: bool
    early_stopping: _StoredStopping
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)]


@dataclass(frozen=True)
class TrainingState:
    """What resuming needs beside tensors. Its fields are what `last` stores as JSON.

    Attributes:
        epoch: how many epochs are done.
        restarts: how often training has gone back to an earlier epoch.
        threads: how many PyTorch used; None before training has begun.
        early_stopping: as it stood; None before training has begun.
        metrics: the epoch's line of metrics.jsonl, without the time that it took; None before the
            first epoch has ended.
    """

    epoch: int = 0
    restarts: int = 0
    threads: int | None = None
    early_stopping: EarlyStopping | None = None
    metrics: dict[str, Any] | None = None

    @property
    def stopped_early(self) -> bool:
        """Whether the validation ELBO had stopped improving."""
        return self.early_stopping is not None and self.early_stopping.should_stop

    def as_metadata(self) -> dict[str, Any]:
        """The part of a checkpoint's metadata that `read` takes."""
        assert self.early_stopping is not None  # nothing is saved before training begins
        state = {
            "epoch": self.epoch,
            "restarts": self.restarts,
            "stopped_early": self.stopped_early,
            "early_stopping": dataclasses.asdict(self.early_stopping),
            "threads": self.threads,
        }
        return {"state": state, "metrics": self.metrics}

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> TrainingState:
        """The state that a checkpoint holds.

        Raises:
            CheckpointError: if it holds none, as `best` does, or one that can't be.
        """
        stored = checkpoint.metadata.get("state")
        if stored is None:
            raise CheckpointError(
                f"{checkpoint.path} holds a model, but not the state of its training"
            )
        try:
            state = _StoredState.read(stored)
            stopping = _early_stopping(state)
            _refuse_contradictions(state, stopping, checkpoint)
        except ConfigError as error:
            raise CheckpointError(
                f"the state of training in {checkpoint.path} can't be used: {error}"
            ) from error
        metrics = checkpoint.metadata.get("metrics")
        return cls(state.epoch, state.restarts, state.threads, stopping, metrics)


@dataclass(frozen=True)
class Snapshot:
    """All that going on from the end of an epoch needs.

    Attributes:
        tensors: the model's, the optimiser's and the random number generators', copied.
        state: the rest.
    """

    tensors: Arrays
    state: TrainingState

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> Snapshot:
        """The snapshot that a checkpoint holds.

        Raises:
            CheckpointError: if it holds a model only.
        """
        return cls(checkpoint.tensors, TrainingState.read(checkpoint))


def training_tensors(
    model: ProductSpaceVAE, optimizer: torch.optim.Optimizer, device: torch.device
) -> Arrays:
    """The tensors of a snapshot: later steps do not change them."""
    arrays = {**model_tensors(model), **_optimizer_arrays(optimizer)}
    arrays["rng.cpu"] = torch.get_rng_state().numpy()
    if device.type == "cuda":
        arrays["rng.cuda"] = torch.cuda.get_rng_state(device).numpy()
    return arrays


def model_tensors(model: ProductSpaceVAE) -> Arrays:
    """The model's own tensors, copied."""
    return {f"model.{k}": v.copy() for k, v in to_arrays(model.state_dict()).items()}


def restore_tensors(
    tensors: Mapping[str, NDArray[Any]],
    model: ProductSpaceVAE,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> None:
    """Restore what `training_tensors` captured, the random number generators too."""
    parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "optimizer": {}, "rng": {}}
    for name, array in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:  # a newer version may store more
            parts[part][rest] = array
    model.load_state_dict(to_tensors(parts["model"]))
    _restore_optimizer(optimizer, parts["optimizer"])
    generators = to_tensors(parts["rng"])
    torch.set_rng_state(generators["cpu"])
    if device.type == "cuda" and "cuda" in generators:
        torch.cuda.set_rng_state(generators["cuda"], device)


def _early_stopping(state: _StoredState) -> EarlyStopping:
    stored = state.early_stopping
    validated = state.epoch if stored.validated is None else stored.validated
    return EarlyStopping(**{**stored.model_dump(), "validated": validated})


def _refuse_contradictions(
    state: _StoredState, stopping: EarlyStopping, checkpoint: Checkpoint
) -> None:
    """Refuse a state that no training with the checkpoint's settings has been in.

    Raises:
        ConfigError: naming the key.
    """
    training = checkpoint.settings.training
    for key, value, largest in (
        ("epoch", state.epoch, training.epochs),
        ("early_stopping.best_epoch", stopping.best_epoch or 0, state.epoch),
        ("early_stopping.validated", stopping.validated, state.epoch),
        ("early_stopping.waited", stopping.waited, state.epoch),
    ):
        if value > largest:
            raise ConfigError(f"must be at most {largest}", setting=key, found=str(value))
    for key in ("burn_in", "look_ahead", "min_improvement"):
        value, expected = getattr(stopping, key), getattr(training, key)
        if value != expected:
            raise ConfigError(
                f"must be {expected}, as the run's settings say",
                setting=f"early_stopping.{key}",
                found=str(value),
            )
    if (stopping.best_elbo is None) != (stopping.best_epoch is None):
        raise ConfigError("an epoch and its ELBO go together", setting="early_stopping.best_epoch")
    if state.stopped_early != stopping.should_stop:
        raise ConfigError("it contradicts early_stopping", setting="stopped_early")


def _optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": value.detach().cpu().numpy().copy()
        for index, values in state.items()
        for key, value in values.items()
    }


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, arrays: Mapping[str, NDArray[Any]]
) -> None:
    content = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in to_tensors(arrays).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**content, "state": state})
