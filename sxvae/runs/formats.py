"""Checkpoints of older formats, brought to the present one as they are read. Needs no PyTorch.

Format 1 had a layer for each kind of the posterior's parameters. Since format 2 there is one layer,
whose rows are those of the three: loc, concentration, scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import CheckpointError

FORMAT_VERSION = 2

Arrays = dict[str, NDArray[Any]]

_HEAD_OF_FORMAT_1 = ("head.loc", "head.concentration", "head.scale.linear")
_HEAD = "head.linear"
_KINDS = ("weight", "bias")


def to_present_format(tensors: Arrays, format_version: int) -> Arrays:
    """The tensors of a checkpoint under the names and in the shapes of the present format.

    Args:
        tensors: arrays by name, as the file has them.
        format_version: of the file, at most `FORMAT_VERSION`.

    Raises:
        CheckpointError: if the tensors are not those of the old format.
    """
    if format_version != 1:
        return tensors
    try:
        return _from_format_1(tensors)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"its tensors are not those of a checkpoint of format 1 ({error})"
        ) from error


def _from_format_1(tensors: Arrays) -> Arrays:
    layers = [name for name in _HEAD_OF_FORMAT_1 if f"model.{name}.weight" in tensors]
    if not layers:
        return tensors
    joined = dict(tensors)
    for kind in _KINDS:
        parts = [joined.pop(f"model.{layer}.{kind}") for layer in layers]
        joined[f"model.{_HEAD}.{kind}"] = np.concatenate(parts)
    _join_optimizer_state(joined, tensors, layers)
    return joined


def _join_optimizer_state(joined: Arrays, tensors: Arrays, layers: list[str]) -> None:
    """Join Adam's averages, which are stored under the parameters' numbers; the head's are last."""
    numbers = {int(name.split(".")[1]) for name in tensors if name.startswith("optimizer.")}
    if not numbers:  # no step has been taken
        return
    first = max(numbers) + 1 - len(_KINDS) * len(layers)
    for offset, kind in enumerate(_KINDS):
        old = [first + len(_KINDS) * i + offset for i in range(len(layers))]
        _check_shapes(tensors, [f"model.{layer}.{kind}" for layer in layers], old)
        entries = [_entries(tensors, number) for number in old]
        for number in old:
            for key in entries[0]:
                del joined[f"optimizer.{number}.{key}"]
        for key, values in ((key, [entry[key] for entry in entries]) for key in entries[0]):
            # What is one number for a whole parameter, such as the count of steps, is alike in all.
            joined[f"new.{first + offset}.{key}"] = (
                np.concatenate(values) if values[0].ndim else values[0]
            )
    for name in [name for name in joined if name.startswith("new.")]:
        joined[f"optimizer.{name.removeprefix('new.')}"] = joined.pop(name)


def _entries(tensors: Mapping[str, NDArray[Any]], number: int) -> Arrays:
    """The optimiser's state of one parameter: exp_avg, exp_avg_sq and step."""
    start = f"optimizer.{number}."
    return {name.removeprefix(start): tensors[name] for name in tensors if name.startswith(start)}


def _check_shapes(tensors: Arrays, parameters: list[str], numbers: list[int]) -> None:
    for parameter, number in zip(parameters, numbers, strict=True):
        average = tensors.get(f"optimizer.{number}.exp_avg")
        if average is None or average.shape != tensors[parameter].shape:
            raise CheckpointError(
                f"the optimiser's state of {parameter} is missing, so the checkpoint can't be "
                "brought to the present format: use the version of sxvae that wrote it"
            )
