"""Check the tensors of a training's state: PyTorch takes wrong ones on trust, and may crash later.

The model's own tensors are checked where weights are loaded, in `sxvae.models.loading`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sxvae.errors import CheckpointError
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import Checkpoint
from sxvae.runs.formats import Arrays

# What Adam keeps for each parameter.
_AVERAGE, _AVERAGE_OF_SQUARES, _STEP = "exp_avg", "exp_avg_sq", "step"
_KEYS = (_AVERAGE, _AVERAGE_OF_SQUARES, _STEP)


def check_training_tensors(
    checkpoint: Checkpoint, model: ProductSpaceVAE, device: torch.device
) -> None:
    """Refuse a checkpoint whose optimiser or random-number states are not those of a training.

    Args:
        checkpoint: of a training in progress.
        model: the model that goes on to be trained.
        device: where it is trained.

    Raises:
        CheckpointError: naming the file and the tensor.
    """
    try:
        _check_optimizer(checkpoint, model)
        _check_generators(checkpoint.part("rng"), device)
    except ValueError as error:
        raise CheckpointError(
            f"the state of training in {checkpoint.path} can't be used: {error}"
        ) from None


def _check_optimizer(checkpoint: Checkpoint, model: ProductSpaceVAE) -> None:
    arrays = checkpoint.part("optimizer")
    parameters = list(model.parameters())
    known = {f"{index}.{key}" for index in range(len(parameters)) for key in _KEYS}
    for name in arrays:
        if name not in known:
            raise ValueError(f"optimizer.{name} belongs to no parameter of the model")
    if checkpoint.metadata["state"]["epoch"] == 0 and not arrays:
        return  # no step has been taken
    for index, parameter in enumerate(parameters):
        present = [key for key in _KEYS if f"{index}.{key}" in arrays]
        if not present and not _always_has_a_gradient(model, parameter):
            continue
        for key in _KEYS:
            name = f"{index}.{key}"
            if name not in arrays:
                raise ValueError(f"optimizer.{name} is missing")
            _check_entry(f"optimizer.{name}", key, arrays[name], parameter)


def _always_has_a_gradient(model: ProductSpaceVAE, parameter: nn.Parameter) -> bool:
    """Whether each step changes the parameter; nothing is known of what users have written."""
    ours = type(model) is ProductSpaceVAE and not model.settings.own_networks
    return ours and parameter.requires_grad


def _check_entry(name: str, key: str, array: NDArray[Any], parameter: nn.Parameter) -> None:
    shape = () if key == _STEP else tuple(parameter.shape)
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, and {shape} is needed")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} has the type {array.dtype}, and a float is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    if key != _AVERAGE and (array < 0).any():
        raise ValueError(f"{name} is negative")


def _check_generators(arrays: Arrays, device: torch.device) -> None:
    if "cpu" not in arrays:
        raise ValueError("rng.cpu is missing")
    _check_generator("rng.cpu", arrays["cpu"], torch.Generator())
    if device.type == "cuda" and "cuda" in arrays:
        _check_generator("rng.cuda", arrays["cuda"], torch.Generator(device))


def _check_generator(name: str, array: NDArray[Any], generator: torch.Generator) -> None:
    """Let a generator of no other use take the state."""
    needed = tuple(generator.get_state().shape)
    if array.dtype != np.uint8 or array.shape != needed:
        raise ValueError(
            f"{name} is {array.dtype} of the shape {array.shape}, and uint8 of {needed} is needed"
        )
    try:
        generator.set_state(torch.from_numpy(array.copy()))
    except RuntimeError:
        raise ValueError(f"{name} is no state of a random number generator") from None
