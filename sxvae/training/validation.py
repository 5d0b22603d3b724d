"""The figures of the validation images, which choose the best epoch."""

from __future__ import annotations

from typing import Any

import torch

from sxvae.config import TrainingSettings
from sxvae.data import Split
from sxvae.models.vae import ProductSpaceVAE
from sxvae.randomness import seeded
from sxvae.training.metrics import MeanMetrics

_BATCH = 1_000


@torch.no_grad()
def validate(model: ProductSpaceVAE, images: Split, config: TrainingSettings) -> dict[str, Any]:
    """The validation ELBO and its parts, with weight 1, at the same noise in every epoch.

    Args:
        model: put into evaluation mode.
        images: as the likelihood takes them, on the model's device.
        config: the seed, and how many importance samples a log-likelihood takes if one is wanted.

    Returns:
        "elbo", "reconstruction", "kl", "kl_per_factor" and, if wanted, "log_likelihood": means over
        the images, nats.
    """
    model.eval()
    device = images.pixels.device
    means, log_likelihood = MeanMetrics(), 0.0
    with seeded(config.seed, "validation", device):
        for start in range(0, len(images), _BATCH):
            x = images.images(slice(start, start + _BATCH))
            terms = model.elbo(x)
            means.add(-terms.elbo.mean(), terms.reconstruction, terms.kl)
    if config.val_log_likelihood:
        with seeded(config.seed, "validation log-likelihood", device):
            for start in range(0, len(images), _BATCH):
                x = images.images(slice(start, start + _BATCH))
                estimates = model.importance_log_likelihood(x, config.val_log_likelihood)
                log_likelihood += estimates.sum().item()
    figures = means.means()
    del figures["loss"]
    figures = {"elbo": figures["reconstruction"] - figures["kl"], **figures}
    if config.val_log_likelihood:
        figures["log_likelihood"] = log_likelihood / len(images)
    return figures
