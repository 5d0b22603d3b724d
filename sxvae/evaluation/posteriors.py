"""The posteriors of many images, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sxvae.data import Split
from sxvae.distributions import ProductDistribution
from sxvae.models.vae import ProductSpaceVAE, evaluating

_BATCH = 500


def posteriors(
    model: ProductSpaceVAE, images: Split, index: torch.Tensor
) -> Iterator[ProductDistribution]:
    """The posteriors of the images at `index`, a batch at a time, without gradients."""
    device = next(model.parameters()).device
    with torch.no_grad(), evaluating(model):
        for part in index.split(_BATCH):
            yield model.encode(images.images(part).to(device))
