"""Load a model from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sxvae.config import RunSettings
from sxvae.devices import resolve_device
from sxvae.errors import CheckpointError
from sxvae.model_size import parameter_count
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.user_paths import user_path


def load(
    path: str | Path,
    *,
    device: str = "cpu",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> tuple[ProductSpaceVAE, RunSettings]:
    """Load a model, ready to use, and the settings of its run.

    Args:
        path: a checkpoint, `best.safetensors` or `last.safetensors`.
        device: of the model: "auto", "cpu" or "cuda".
        encoder: an instance that takes the weights, needed if the model has custom networks.
        decoder: as `encoder`.

    Raises:
        CheckpointError: if the file is missing, damaged, foreign or of a newer format.
        ConfigError: if the model has custom networks and these are not given, or there is no such
            device.
    """
    target = resolve_device(device)
    checkpoint = read_checkpoint(user_path(path))
    model = model_of(checkpoint, encoder=encoder, decoder=decoder)
    return model.to(target).eval(), checkpoint.settings


def model_of(
    checkpoint: Checkpoint, *, encoder: nn.Module | None = None, decoder: nn.Module | None = None
) -> ProductSpaceVAE:
    """The model that a checkpoint holds, on the CPU.

    Raises:
        CheckpointError: if its tensors are not those of the model that its settings describe.
    """
    _refuse_another_size(checkpoint)
    with torch.random.fork_rng(devices=[]):  # the fresh weights are replaced below
        model = ProductSpaceVAE.from_settings(
            checkpoint.settings.model, encoder=encoder, decoder=decoder
        )
    load_weights(model, checkpoint)
    return model


def load_weights(model: ProductSpaceVAE, checkpoint: Checkpoint) -> None:
    """Give a model the weights that a checkpoint holds.

    Raises:
        CheckpointError: if the checkpoint's tensors are not those of such a model.
    """
    arrays = checkpoint.part("model")
    expected = model.state_dict()
    for name, array in arrays.items():
        own = expected.get(name)
        if own is not None and (array.dtype.kind == "f") != own.is_floating_point():
            raise CheckpointError(
                f"{checkpoint.path}: model.{name} has the type {array.dtype}, and the model's is "
                f"{str(own.dtype).removeprefix('torch.')}"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CheckpointError(
                f"{checkpoint.path}: model.{name} has values that are not finite: the model's "
                "weights have diverged"
            )
    try:
        model.load_state_dict(to_tensors(arrays))
    except RuntimeError as error:
        raise CheckpointError(
            f"{checkpoint.path} does not hold the tensors of its own model: {error}"
        ) from error


def _refuse_another_size(checkpoint: Checkpoint) -> None:
    """Refuse settings of a larger model than the file holds, before that is allocated."""
    settings = checkpoint.settings.model
    held = sum(array.size for array in checkpoint.part("model").values())
    described = parameter_count(settings)
    if held != described and not settings.own_networks:
        raise CheckpointError(
            f"{checkpoint.path} does not hold the tensors of its own model: its settings describe "
            f"{described:,} parameters, and it holds {held:,}"
        )


def to_tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Copy NumPy arrays into tensors."""
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors of any device as NumPy arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
