"""The loss that a training step minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu

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

    The negative ELBO with the KL's weight of that epoch. With `config.free_bits` each factor's mean
    KL over the batch counts as at least so much [9]; with `config.kl_target` the mean of
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
        distance = 0 if frozen else _distance_to_target(terms.kl, weight, config)
        loss = -terms.reconstruction.mean() + distance
    elif config.free_bits:
        cost = with_free_bits(terms.kl, config.free_bits).sum(dim=-1).mean()
        loss = -terms.reconstruction.mean() + weight * cost
    return Objective(loss, terms.reconstruction, terms.kl)


def with_free_bits(kl: Tensor, bits: float) -> Tensor:
    """The KL with that of factors whose mean over the batch is below `bits` replaced by `bits` [9].

    Those factors have no gradient, and the mean of each is clamped below.

    Args:
        kl: of each factor, nats, shape (batch, factors).
        bits: nats a factor.
    """
    return torch.where(kl.mean(dim=0) < bits, bits, kl)


def _distance_to_target(kl: Tensor, weight: float, config: TrainingSettings) -> Tensor:
    """The mean of |weight * KL - target| over the batch, shape ().

    Free bits are there to lift what presses a KL down: what lies above the target is counted with
    them, and what is missing below it without.
    """
    excess = weight * kl.sum(dim=-1) - config.kl_target
    if not config.free_bits:
        return excess.abs().mean()
    counted = with_free_bits(kl, config.free_bits).sum(dim=-1)
    return (relu(weight * counted - config.kl_target) + relu(-excess)).mean()


def epoch_kl_weight(epoch: int, config: TrainingSettings) -> float:
    """The KL's weight in an epoch (counted from 0)."""
    return kl_weight(epoch, config.kl_warmup, config.beta, config.kl_freeze)
