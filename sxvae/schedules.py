"""What changes from epoch to epoch: the KL's weight, and whether to go on."""

from __future__ import annotations

from dataclasses import dataclass


def kl_weight(epoch: int, warmup: int, beta: float) -> float:
    """The KL's weight: from 0 in epoch 0 linearly to `beta` in epoch `warmup`, then `beta`.

    Args:
        epoch: counted from 0.
        warmup: epochs of growth; 0 for none.
        beta: the final weight.
    """
    return beta if warmup == 0 else beta * min(1.0, epoch / warmup)


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
    """

    burn_in: int
    look_ahead: int
    min_improvement: float
    best_elbo: float | None = None
    best_epoch: int | None = None
    reference: float | None = None
    waited: int = 0

    @property
    def should_stop(self) -> bool:
        """Whether waiting has ended."""
        return self.waited >= self.look_ahead

    def update(self, epoch: int, elbo: float) -> bool:
        """Take note of an epoch (counted from 1); return whether it is the best so far."""
        if epoch <= self.burn_in:
            return False
        if self.reference is None or elbo > self.reference + self.min_improvement:
            self.reference, self.waited = elbo, 0
        else:
            self.waited += 1
        if self.best_elbo is not None and elbo <= self.best_elbo:
            return False
        self.best_elbo, self.best_epoch = elbo, epoch
        return True
