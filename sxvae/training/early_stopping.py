"""Early stopping on the validation ELBO."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Follows the validation ELBO to find the best epoch, and to stop when it no longer rises.

    The best epoch has the highest ELBO after burn-in. The reference is the last ELBO that was above
    its predecessor by `min_improvement`; training stops `look_ahead` epochs after it.

    Attributes:
        burn_in: epochs that do not count.
        look_ahead: epochs to wait for an improvement.
        min_improvement: nats by which the ELBO must exceed the reference.
        best_elbo: the best epoch's, nats; None before there is one.
        best_epoch: the best epoch, counted from 1; None before there is one.
        reference: the ELBO to improve on, nats; None before there is one.
        waited: epochs since the reference.
        validated: the epoch of the last validation; 0 before there is one.
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
        """Whether there has been no improvement for `look_ahead` epochs."""
        return self.waited >= self.look_ahead

    def update(self, epoch: int, elbo: float) -> bool:
        """Take an epoch's validation into account; return whether the epoch is the best so far.

        Args:
            epoch: counted from 1.
            elbo: mean over the validation images, nats.
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
