"""What changes from epoch to epoch: the KL's weight, the learning rate, and whether to go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass
class EarlyStopping:
    """Follows the validation ELBO: which epoch is the best, and when waiting for a better ends.

    The best is the highest ELBO after burn-in. Waiting starts anew when the ELBO exceeds the one
    that waiting was last started with by `min_improvement`, and ends after `look_ahead` epochs.

    Attributes:
        burn_in: epochs that do not count.
        look_ahead: epochs to wait.
        min_improvement: nats.
        best_elbo: of the best epoch, nats; None before there is one.
        best_epoch: the best epoch, counted from 1; None before there is one.
        reference: the ELBO that waiting was last started with.
        waited: epochs since then.
        validated: the epoch of the last validation, 0 before there is one.
    """

    burn_in: int
    look_ahead: int
    min_improvement: float
    best_elbo: float | None = None
    best_epoch: int | None = None
    reference: float | None = None
    waited: int = 0
    validated: int = 0

    @property
    def should_stop(self) -> bool:
        """Whether waiting has ended."""
        return self.waited >= self.look_ahead

    def update(self, epoch: int, elbo: float) -> bool:
        """Take note of an epoch's validation; return whether the epoch is the best so far.

        Args:
            epoch: counted from 1.
            elbo: of the validation images, nats.
        """
        passed, self.validated = epoch - self.validated, epoch
        if epoch <= self.burn_in:
            return False
        if self.reference is None or elbo > self.reference + self.min_improvement:
            self.reference, self.waited = elbo, 0
        else:
            self.waited += passed
        if self.best_elbo is not None and elbo <= self.best_elbo:
            return False
        self.best_elbo, self.best_epoch = elbo, epoch
        return True
