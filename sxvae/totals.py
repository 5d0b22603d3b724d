"""Means over the images of many batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Totals:
    """Sums over images, kept on the device so that no step waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.images = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.reconstruction = torch.zeros((), dtype=torch.float64, device=device)
        self.kl: Tensor = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, loss: Tensor, reconstruction: Tensor, kl: Tensor) -> None:
        """Add a batch: its mean loss, and shapes (batch,) and (batch, factors)."""
        images = len(reconstruction)
        self.images += images
        self.loss += loss.detach() * images
        self.reconstruction += reconstruction.detach().sum()
        self.kl = self.kl + kl.detach().sum(dim=0)

    def means(self) -> dict[str, Any]:
        """Over all images so far: "loss", "reconstruction", "kl" and "kl_per_factor"."""
        kl = (self.kl / self.images).tolist()
        reconstruction = self.reconstruction.item() / self.images
        return {
            "loss": self.loss.item() / self.images,
            "reconstruction": reconstruction,
            "kl": sum(kl),
            "kl_per_factor": kl,
        }
