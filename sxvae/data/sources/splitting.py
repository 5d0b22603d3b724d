"""Dividing images into splits by a seed, the same on every machine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# With fewer images a split of 80/10/10 would be empty.
MIN_IMAGES = 10


def shuffled(n: int, seed: int) -> Tensor:
    """The indices 0 to n-1 in an order that depends on the seed alone, int64, shape (n,)."""
    # NumPy guarantees that the numbers of this older generator never change. It takes 32-bit seeds.
    rng = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    return torch.from_numpy(rng.permutation(n).astype(np.int64))


def partition(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The indices of train, validation and test: 80/10/10, in shuffled order.

    Validation and test have n // 10 each, train the rest; `n` is at least `MIN_IMAGES`.
    """
    order = shuffled(n, seed)
    tenth = n // 10
    train = n - 2 * tenth
    return order[:train], order[train : train + tenth], order[train + tenth :]
