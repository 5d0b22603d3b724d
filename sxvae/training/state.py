"""The state of a training: taken in memory, written to `last`, and taken up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.models.loading import to_arrays, to_tensors
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.formats import Arrays
from sxvae.training.schedules import EarlyStopping


@dataclass(frozen=True)
class Snapshot:
    """All that going on from the end of an epoch needs.

    Attributes:
        tensors: the model's, the optimiser's and the random streams', copied.
        state: JSON-ready: epoch, restarts, early stopping, thread count.
        metrics: the epoch's line of metrics.jsonl, without the time that it took.
    """

    tensors: Arrays
    state: dict[str, Any]
    metrics: dict[str, Any] | None


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
    """Take up what `training_tensors` took, the random streams too."""
    parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "optimizer": {}, "rng": {}}
    for name, array in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = array
    model.load_state_dict(to_tensors(parts["model"]))
    _restore_optimizer(optimizer, parts["optimizer"])
    streams = to_tensors(parts["rng"])
    torch.set_rng_state(streams["cpu"])
    if device.type == "cuda" and "cuda" in streams:
        torch.cuda.set_rng_state(streams["cuda"], device)


def restored_stopping(stopping: EarlyStopping, stored: Mapping[str, Any]) -> EarlyStopping:
    """Early stopping as it was stored; what is not stored stays as in `stopping`."""
    known = {field.name for field in dataclasses.fields(EarlyStopping)}
    return dataclasses.replace(stopping, **{k: v for k, v in stored.items() if k in known})


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
