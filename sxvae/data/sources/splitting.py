"""Dividing images into splits by a seed, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sxvae.config import SplitName
from sxvae.data.images import Split
from sxvae.errors import DataError

# With fewer images a split of 80/10/10 would be empty.
MIN_IMAGES = 10

_HELD_OUT: tuple[SplitName, ...] = ("validation", "test")


@dataclass(frozen=True)
class Loaded:
    """What a path holds.

    Attributes:
        splits: those that its owner made; "train" alone is all images, not divided yet.
        remarks: sentences on how it was read, for the user.
    """

    splits: dict[SplitName, Split]
    remarks: tuple[str, ...] = ()


def completed(loaded: Loaded, seed: int, path: Path) -> dict[SplitName, Split]:
    """All three splits: what is missing is a tenth of the training images each, by the seed.

    Raises:
        DataError: if there are too few images to divide.
    """
    train = loaded.splits["train"]
    missing = [name for name in _HELD_OUT if name not in loaded.splits]
    if not missing:
        return loaded.splits
    if len(train) < MIN_IMAGES:
        raise DataError(
            f"{path} holds {len(train)} images, and at least {MIN_IMAGES} are needed for a split "
            "into train, validation and test"
        )
    names: list[SplitName] = ["train", *missing]
    parts = partition(len(train), seed, len(missing))
    divided = {name: train.subset(part) for name, part in zip(names, parts, strict=True)}
    return {**loaded.splits, **divided}


def partition(n: int, seed: int, held_out: int = 2) -> tuple[Tensor, ...]:
    """The indices of the training images, then of each part held out, in shuffled order.

    A part held out has n // 10; `n` is at least `MIN_IMAGES`.
    """
    order, tenth = shuffled(n, seed), n // 10
    return torch.split(order, [n - held_out * tenth, *[tenth] * held_out])


def shuffled(n: int, seed: int) -> Tensor:
    """The indices 0 to n-1 in an order that depends on the seed alone, int64, shape (n,)."""
    # NumPy guarantees that the numbers of this older generator never change. It takes 32-bit seeds.
    rng = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    return torch.from_numpy(rng.permutation(n).astype(np.int64))
