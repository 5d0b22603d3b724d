"""The schedules of the KL's weight and of the learning rate."""

from __future__ import annotations

import math

from sxvae.config import LearningRateSchedule


def kl_weight(epoch: int, warmup: int, beta: float, freeze: int = 0) -> float:
    """The KL's weight: 0 while frozen, then linearly up to `beta` over `warmup` epochs.

    Args:
        epoch: counted from 0.
        warmup: epochs of growth; 0 for none.
        beta: the final weight.
        freeze: epochs at the beginning in which the weight is 0.
    """
    if epoch < freeze:
        return 0.0
    return beta if warmup == 0 else beta * min(1.0, (epoch - freeze) / warmup)


def learning_rate(epoch: int, epochs: int, lr: float, schedule: LearningRateSchedule) -> float:
    """The learning rate of an epoch: `lr`, or half a cosine from `lr` in the first towards 0.

    Args:
        epoch: counted from 0.
        epochs: of the whole training.
        lr: of the first epoch.
        schedule: "constant" or "cosine".
    """
    if schedule == "constant":
        return lr
    return lr * (1 + math.cos(math.pi * epoch / epochs)) / 2
