"""The loss that a training step minimises."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from sxvae.config import TrainingSettings
from sxvae.models.vae import ProductSpaceVAE
from sxvae.training.schedules import kl_weight


class Objective(NamedTuple):
    """The loss of a batch and its parts, nats per image.

    Attributes:
        loss: shape ().
        reconstruction: log p(x given z), shape (batch,).
        kl: KL(q(z given x), p(z)) of each factor, shape (batch, factors).
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def objective(model: ProductSpaceVAE, x: Tensor, epoch: int, config: TrainingSettings) -> Objective:
    """The loss of a batch in an epoch (counted from 0); its images are not checked again.

    The negative ELBO with the KL's weight of that epoch. With `config.kl_target` the mean of
    |weight * KL - target| replaces the weighted KL, and is 0 while the KL is frozen; with
    `config.train_samples` above 1 the importance-weighted bound [4] replaces the ELBO.
    """
    weight = epoch_kl_weight(epoch, config)
    if config.train_samples > 1:
        samples = config.train_samples
        terms = model.importance_weighted_bound(x, samples, weight, check_images=False)
    else:
        terms = model.elbo(x, weight, check_images=False)
    loss = -terms.elbo.mean()
    if config.kl_target:
        frozen = epoch < config.kl_freeze
        distance = (weight * terms.kl.sum(dim=-1) - config.kl_target).abs()
        loss = -terms.reconstruction.mean() + (0 if frozen else distance.mean())
    return Objective(loss, terms.reconstruction, terms.kl)


def epoch_kl_weight(epoch: int, config: TrainingSettings) -> float:
    """The KL's weight in an epoch (counted from 0)."""
    return kl_weight(epoch, config.kl_warmup, config.beta, config.kl_freeze)
