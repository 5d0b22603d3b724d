"""Spherical Cauchy samples and their gradients, compiled for the CPU.

A sample is a uniform direction moved towards loc, as in `sxvae.distributions.sampling.moebius`.
With c = k / m, s = sqrt(1 + 2 c), a = u + loc and h = |a|^2 / 2 it is x = loc + q, where
q = (s a - (2 + h (s - 1)) loc) / (1 + c h).
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import LARGEST_CONCENTRATION

_SMALLEST_NORM = 1e-300


@compiled
def _stretch(k: float, dim: int) -> tuple[float, float, float]:
    """c, s and s - 1, which does not cancel."""
    scaled = k / dim
    stretch = math.sqrt(1 + 2 * scaled)
    return scaled, stretch, 2 * scaled / (1 + stretch)


@compiled
def draw_spherical_cauchy(loc: Array, k: Array, noise: Array, direction: Array, x: Array) -> int:
    """Fill in uniform directions and the samples that they are carried to.

    Args:
        loc: mean directions, shape (rows, p).
        k: concentrations, shape (rows,).
        noise: standard normal numbers, shape (rows, p).
        direction: filled with uniform directions, shape (rows, p).
        x: filled with the samples, shape (rows, p).

    Returns:
        The first row whose concentration is below 0 or above 1e100, or -1.
    """
    ambient = loc.shape[1]
    for row in range(len(k)):
        if not 0 <= k[row] <= LARGEST_CONCENTRATION:
            return row
        scaled, stretch, excess = _stretch(k[row], ambient - 1)
        square = 0.0
        for j in range(ambient):
            square += np.float64(noise[row, j]) ** 2
        length = max(math.sqrt(square), _SMALLEST_NORM)
        double_height = 0.0
        for j in range(ambient):
            direction[row, j] = noise[row, j] / length
            double_height += (direction[row, j] + loc[row, j]) ** 2
        height = double_height / 2
        towards, divisor = 2 + height * excess, 1 + scaled * height
        for j in range(ambient):
            moved = stretch * (direction[row, j] + loc[row, j]) - towards * loc[row, j]
            x[row, j] = loc[row, j] + moved / divisor
    return -1


@compiled
def differentiate_spherical_cauchy(
    grad: Array, loc: Array, k: Array, direction: Array, by_loc: Array, by_k: Array
) -> None:
    """Fill in the samples' gradients with respect to loc and k.

    Args:
        grad: the gradient with respect to the samples, shape (rows, p).
        loc: mean directions, shape (rows, p).
        k: concentrations, shape (rows,).
        direction: as `draw_spherical_cauchy` filled it, shape (rows, p).
        by_loc: filled, shape (rows, p).
        by_k: filled, shape (rows,).
    """
    ambient = loc.shape[1]
    for row in range(len(k)):
        scaled, stretch, excess = _stretch(k[row], ambient - 1)
        double_height, along, across = 0.0, 0.0, 0.0
        for j in range(ambient):
            away = direction[row, j] + loc[row, j]
            double_height += away * away
            along += grad[row, j] * loc[row, j]
            across += grad[row, j] * away
        height = double_height / 2
        divisor = 1 + scaled * height
        # <grad, q>, for the change of q's divisor.
        inner = (stretch * across - (2 + height * excess) * along) / divisor
        kept = 1 + (stretch - 2 - height * excess) / divisor
        by_height = -(excess * along + scaled * inner) / divisor
        for j in range(ambient):
            away = direction[row, j] + loc[row, j]
            by_loc[row, j] = kept * grad[row, j] + by_height * away
        by_scaled = ((across - height * along) / stretch - height * inner) / divisor
        by_k[row] = by_scaled / (ambient - 1)
