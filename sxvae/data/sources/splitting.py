"""Dividing images into splits by a seed, the same on every machine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FEWEST = 10  # images, so that no split of 80/10/10 is empty


def shuffled(n: int, seed: int) -> Tensor:
    """The numbers 0 to n-1 in an order that depends on the seed alone, int64, shape (n,)."""
    # NumPy guarantees this older generator's stream for good; it takes seeds of 32 bits a piece.
    chance = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    return torch.from_numpy(chance.permutation(n).astype(np.int64))


def partition(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The indices of train, validation and test: 80/10/10, in shuffled order.

    Validation and test have n // 10 each, train the rest; `n` is at least `FEWEST`.
    """
    order = shuffled(n, seed)
    tenth = n // 10
    train = n - 2 * tenth
    return order[:train], order[train : train + tenth], order[train + tenth :]
