"""The state of a training at the end of an epoch: captured, stored in `last`, and restored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.errors import CheckpointError
from sxvae.models.loading import to_arrays, to_tensors
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import Checkpoint
from sxvae.runs.formats import Arrays
from sxvae.training.early_stopping import EarlyStopping


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
            CheckpointError: if it holds none, as `best` does, or it is damaged.
        """
        state = checkpoint.metadata.get("state")
        if not isinstance(state, dict):
            raise CheckpointError(
                f"{checkpoint.path} holds a model, but not the state of its training"
            )
        try:
            epoch = int(state["epoch"])
            return cls(
                epoch,
                int(state.get("restarts", 0)),
                state["threads"],
                _early_stopping({"validated": epoch, **state["early_stopping"]}),
                checkpoint.metadata.get("metrics"),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the state of training in {checkpoint.path} can't be read ({error!r})"
            ) from error


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
        part, rest = name.split(".", 1)
        parts[part][rest] = array
    model.load_state_dict(to_tensors(parts["model"]))
    _restore_optimizer(optimizer, parts["optimizer"])
    generators = to_tensors(parts["rng"])
    torch.set_rng_state(generators["cpu"])
    if device.type == "cuda" and "cuda" in generators:
        torch.cuda.set_rng_state(generators["cuda"], device)


def _early_stopping(stored: Mapping[str, Any]) -> EarlyStopping:
    known = {field.name for field in dataclasses.fields(EarlyStopping)}
    return EarlyStopping(**{key: value for key, value in stored.items() if key in known})


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
