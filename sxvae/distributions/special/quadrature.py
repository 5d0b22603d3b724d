"""Nodes and weights for integrals over [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sxvae.distributions.constants import cached_constant


@cached_constant
def gauss_legendre(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre nodes on [0, 1] and their weights, float64, shape (count,)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (
        torch.tensor((nodes + 1) / 2, dtype=torch.float64, device=device),
        torch.tensor(weights / 2, dtype=torch.float64, device=device),
    )


# The outermost double-exponential nodes are within e^-42 of the ends.
_SPAN = 3.3


@cached_constant
def double_exponential(count: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes on [0, 1], their distances from 1, and their weights, float64, shape (count,).

    They integrate functions that are singular at the ends too (Takahasi and Mori 1974).
    """
    steps = np.linspace(-_SPAN, _SPAN, count)
    nodes = 1 / (1 + np.exp(-np.pi * np.sinh(steps)))
    weights = (steps[1] - steps[0]) * np.pi * np.cosh(steps) * nodes * nodes[::-1]
    ascending, descending, weight = (
        torch.tensor(values.copy(), dtype=torch.float64, device=device)
        for values in (nodes, nodes[::-1], weights)
    )
    return ascending, descending, weight
