"""The Moebius map that carries uniform directions to spherical Cauchy samples [7].

It is a dilation of the sphere towards a pole: seen from the opposite point, the sphere is a plane,
and distances from the pole in this plane are divided by s = sqrt(1 + 2 c).
"""

from __future__ import annotations

import torch
from torch import Tensor


def dilate(points: Tensor, pole: Tensor, scaled: Tensor) -> Tensor:
    """Move points of the unit sphere towards a pole.

    With r = (s - 1) / (s + 1) and psi = r pole it is the usual
    x = (1 - r^2) (u + psi) / |u + psi|^2 + psi for a point u, written so that nothing cancels where
    points end near the pole. Its inverse is the dilation towards -pole.

    Args:
        points: unit vectors, float64, shape (..., p).
        pole: unit vectors, likewise.
        scaled: c >= 0, float64, shape (...).
    """
    scaled = scaled.unsqueeze(-1)
    stretch = torch.sqrt(1 + 2 * scaled)
    away = points + pole
    one_plus = away.square().sum(dim=-1, keepdim=True) / 2  # 1 + <u, pole>
    towards = 2 + one_plus * (2 * scaled / (1 + stretch))
    return pole + (stretch * away - towards * pole) / (1 + scaled * one_plus)
