"""Means over the images of many batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class MeanMetrics:
    """The metrics of many batches, kept on the device until their means are asked for.

    So no training step waits for a transfer from the device.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._reconstructions: list[Tensor] = []
        self._kl: list[Tensor] = []

    def add(self, loss: Tensor, reconstruction: Tensor, kl: Tensor) -> None:
        """Add a batch: its mean loss, and shapes (batch,) and (batch, factors)."""
        self._losses.append(loss.detach())
        self._reconstructions.append(reconstruction.detach())
        self._kl.append(kl.detach())

    def means(self) -> dict[str, Any]:
        """Over all images so far: "loss", "reconstruction", "kl" and "kl_per_factor"."""
        sizes = torch.tensor([len(batch) for batch in self._reconstructions], dtype=torch.float64)
        losses = torch.stack(self._losses).double().cpu()
        kl = torch.cat(self._kl).double().mean(dim=0).tolist()
        return {
            "loss": (losses @ sizes / sizes.sum()).item(),
            "reconstruction": torch.cat(self._reconstructions).double().mean().item(),
            "kl": sum(kl),
            "kl_per_factor": kl,
        }
