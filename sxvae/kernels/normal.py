"""Samples of normal factors, their KL to the standard normal and gradients, compiled for the CPU.

A sample is mean + L noise, where L is a multiple of the identity for single covariance, a diagonal
matrix for diagonal covariance, and lower triangular for full covariance. The head's outputs for L
are its free entries, row by row; those on the diagonal go through softplus.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.activation import softplus
from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import NORMAL_FULL, NORMAL_SINGLE, SCALE_FLOOR
from sxvae.kernels.records import COLUMN, OFFSET, PARAMETER


@compiled
def _diagonal(family: int, i: int) -> int:
    """The index of the i-th diagonal entry among the outputs for L."""
    if family == NORMAL_SINGLE:
        return 0
    if family == NORMAL_FULL:
        return i * (i + 3) // 2
    return i


@compiled
def draw_normals(
    family: int,
    raw: Array,
    factors: Array,
    noise: Array,
    kept: Array,
    z: Array,
    kl: Array,
) -> None:
    """Fill in one sample of each posterior of a group, and its KL to the standard normal.

    Args:
        family: the covariance, by its number in `constants`.
        raw: the head's outputs, shape (images, outputs).
        factors: the group's records.
        noise: standard normal numbers, shape (rows, m).
        kept: filled with softplus of the diagonal's outputs, shape (rows, m).
        z: the group's coordinates are filled, shape (images, ambient).
        kl: the group's columns are filled, nats, shape (images, factors of all groups).
    """
    dim = noise.shape[1]
    for row in range(len(noise)):
        image, factor = divmod(row, len(factors))
        offset, first = factors[factor, OFFSET], factors[factor, PARAMETER]
        divergence = 0.0
        for i in range(dim):
            position = _diagonal(family, i)
            if i == 0 or family != NORMAL_SINGLE:
                kept[row, i] = softplus(np.float64(raw[image, first + position]))
            else:
                kept[row, i] = kept[row, 0]
            scale = kept[row, i] + SCALE_FLOOR
            mean = np.float64(raw[image, offset + i])
            x = mean + scale * noise[row, i]
            divergence += (scale * scale - 1 + mean * mean) / 2 - math.log(scale)
            if family == NORMAL_FULL:
                start = first + position - i
                for j in range(i):
                    entry = np.float64(raw[image, start + j])
                    x += entry * noise[row, j]
                    divergence += entry * entry / 2
            z[image, offset + i] = x
        kl[image, factors[factor, COLUMN]] = divergence


@compiled
def differentiate_normals(
    family: int,
    by_z: Array,
    by_kl: Array,
    raw: Array,
    factors: Array,
    noise: Array,
    kept: Array,
    by_raw: Array,
) -> None:
    """Fill in the gradients with respect to a group's outputs.

    Args:
        family: as for `draw_normals`, like all that is not explained.
        by_z: the gradient with respect to the samples, shape (images, ambient).
        by_kl: the gradient with respect to the KL, shape (images, factors of all groups).
        raw: the head's outputs.
        factors: the group's records.
        noise: standard normal numbers.
        kept: as `draw_normals` filled it.
        by_raw: the group's columns are filled, shape (images, outputs).
    """
    dim = noise.shape[1]
    for row in range(len(noise)):
        image, factor = divmod(row, len(factors))
        offset, first = factors[factor, OFFSET], factors[factor, PARAMETER]
        by_divergence = np.float64(by_kl[image, factors[factor, COLUMN]])
        total = 0.0  # of a scale that all coordinates share
        for i in range(dim):
            by_x = np.float64(by_z[image, offset + i])
            by_raw[image, offset + i] = by_x + by_divergence * raw[image, offset + i]
            scale = kept[row, i] + SCALE_FLOOR
            by_scale = by_x * noise[row, i] + by_divergence * (scale - 1 / scale)
            total += by_scale
            position = _diagonal(family, i)
            if family == NORMAL_SINGLE:
                by_scale = total
            by_raw[image, first + position] = by_scale * -math.expm1(-kept[row, i])
            if family == NORMAL_FULL:
                start = first + position - i
                for j in range(i):
                    by_entry = by_x * noise[row, j] + by_divergence * raw[image, start + j]
                    by_raw[image, start + j] = by_entry
