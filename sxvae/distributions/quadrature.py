"""Quadrature over fixed nodes."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

# Enough for the implicit derivative of any sample.
IMPLICIT_NODES = 32
# Parts of an integrand whose weight is below e^-40 of the sample's own are left out.
LOG_NEGLIGIBLE = 40.0


@functools.lru_cache(maxsize=32)
def gauss_legendre(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Nodes on [0, 1] and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (
        torch.tensor((nodes + 1) / 2, dtype=torch.float64, device=device),
        torch.tensor(weights / 2, dtype=torch.float64, device=device),
    )
