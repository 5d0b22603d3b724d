"""The metrics of the validation images, which choose the best epoch."""

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
    """The validation ELBO and its parts, with weight 1 and the same random numbers each epoch.

    Args:
        model: put into evaluation mode.
        images: binarised for evaluation if the likelihood needs that, on the model's device.
        config: its seed, and its number of importance samples of the log-likelihood.

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
    metrics = means.means()
    del metrics["loss"]
    metrics = {"elbo": metrics["reconstruction"] - metrics["kl"], **metrics}
    if config.val_log_likelihood:
        metrics["log_likelihood"] = log_likelihood / len(images)
    return metrics
