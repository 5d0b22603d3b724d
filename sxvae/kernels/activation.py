"""The head's outputs as parameters, and back to gradients, compiled for the CPU.

The formulas are those of `sxvae.models.parameters`.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import CONCENTRATION_FLOOR, SMALLEST_NORM
from sxvae.kernels.records import COLUMN, OFFSET, PARAMETER


@compiled
def softplus(raw: float) -> float:
    """log(1 + exp(raw))."""
    return max(raw, 0.0) + math.log1p(math.exp(-abs(raw)))


@compiled
def _length(vector: Array) -> float:
    square = 0.0
    for j in range(len(vector)):
        square += np.float64(vector[j]) ** 2
    return max(math.sqrt(square), SMALLEST_NORM)


@compiled
def read_spheres(raw: Array, factors: Array, loc: Array, k: Array) -> None:
    """Fill in a group's mean directions, shape (rows, p), and concentrations, shape (rows,)."""
    ambient = loc.shape[1]
    for row in range(len(k)):
        image, factor = divmod(row, len(factors))
        offset = factors[factor, OFFSET]
        vector = raw[image, offset : offset + ambient]
        length = _length(vector)
        for j in range(ambient):
            loc[row, j] = vector[j] / length
        k[row] = softplus(np.float64(raw[image, factors[factor, PARAMETER]])) + CONCENTRATION_FLOOR


@compiled
def differentiate_spheres(
    by_loc: Array,
    by_k: Array,
    by_kl: Array,
    raw: Array,
    factors: Array,
    loc: Array,
    k: Array,
    slope_over_k: Array,
    by_raw: Array,
) -> None:
    """Fill in the gradients with respect to a group's outputs.

    Args:
        by_loc: the gradient with respect to mean directions, shape (rows, p).
        by_k: that of the samples with respect to concentrations, shape (rows,).
        by_kl: the gradient with respect to the KL, shape (images, factors of all groups).
        raw: the head's outputs, shape (images, outputs).
        factors: the group's records.
        loc: mean directions, shape (rows, p).
        k: concentrations, shape (rows,).
        slope_over_k: the slope of the KL by k, over k, shape (rows,).
        by_raw: filled, shape (images, outputs).
    """
    ambient = loc.shape[1]
    for row in range(len(k)):
        image, factor = divmod(row, len(factors))
        offset = factors[factor, OFFSET]
        inner = 0.0
        for j in range(ambient):
            inner += by_loc[row, j] * loc[row, j]
        length = _length(raw[image, offset : offset + ambient])
        for j in range(ambient):
            by_raw[image, offset + j] = (by_loc[row, j] - inner * loc[row, j]) / length
        slope = by_k[row] + by_kl[image, factors[factor, COLUMN]] * k[row] * slope_over_k[row]
        softplus_slope = -math.expm1(CONCENTRATION_FLOOR - k[row])
        by_raw[image, factors[factor, PARAMETER]] = slope * softplus_slope
