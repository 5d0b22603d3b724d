"""Samples of normal factors, their KL to the standard normal and gradients, compiled for the CPU.

A sample is mean + L noise, where L is a multiple of the identity for single covariance, a diagonal
matrix for diagonal covariance, and lower triangular for full covariance. The head's outputs for L
are its free entries, row by row; those on the diagonal go through softplus.
"""

from __future__ import annotations

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import NORMAL_FULL, NORMAL_SINGLE, SCALE_FLOOR
from sxvae.kernels.quadrature import exponential, log_of_one_plus
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
def _read_scales(
    family: int, raw: Array, factors: Array, scales: Array, slopes: Array, logs: Array
) -> None:
    """Fill in the diagonals of L: softplus(raw) + `SCALE_FLOOR`.

    Args:
        family: the covariance, by its number in `constants`.
        raw: the head's outputs, shape (images, outputs).
        factors: the group's records.
        scales: filled, shape (rows, m).
        slopes: filled with the derivatives by raw, shape (rows, m).
        logs: filled with the logarithms of the scales, shape (rows, m).
    """
    rows, dim = scales.shape
    for row in range(rows):
        image, factor = divmod(row, len(factors))
        for i in range(dim):
            scales[row, i] = raw[image, factors[factor, PARAMETER] + _diagonal(family, i)]
    # Over all rows at once, so that the loop is vectorised for short rows too.
    scale, slope, log = scales.reshape(-1), slopes.reshape(-1), logs.reshape(-1)
    for i in range(len(scale)):
        decay = exponential(-abs(scale[i]))
        slope[i] = (1.0 if scale[i] > 0 else decay) / (1 + decay)
        above = 0.0 if scale[i] < 0 else scale[i]  # NaN, which max would lose, stays NaN
        scale[i] = above + log_of_one_plus(decay) + SCALE_FLOOR
        log[i] = log_of_one_plus(scale[i] - 1)


@compiled
def draw_normals(
    family: int,
    raw: Array,
    factors: Array,
    noise: Array,
    scales: Array,
    slopes: Array,
    z: Array,
    kl: Array,
) -> None:
    """Fill in one sample of each posterior of a group, and its KL to the standard normal.

    Args:
        family: the covariance, by its number in `constants`.
        raw: the head's outputs, shape (images, outputs).
        factors: the group's records.
        noise: standard normal numbers, shape (rows, m).
        scales: filled with the diagonal of L, shape (rows, m).
        slopes: filled with its derivatives by the head's outputs, shape (rows, m).
        z: the group's coordinates are filled, shape (images, ambient).
        kl: the group's columns are filled, nats, shape (images, factors of all groups).
    """
    dim, logs = noise.shape[1], np.empty_like(scales)
    _read_scales(family, raw, factors, scales, slopes, logs)
    for row in range(len(noise)):
        image, factor = divmod(row, len(factors))
        offset, first = factors[factor, OFFSET], factors[factor, PARAMETER]
        divergence = 0.0
        for i in range(dim):
            mean, scale = np.float64(raw[image, offset + i]), scales[row, i]
            z[image, offset + i] = mean + scale * noise[row, i]
            divergence += (scale * scale - 1 + mean * mean) / 2 - logs[row, i]
        if family == NORMAL_FULL:
            for i in range(1, dim):
                start, shift = first + i * (i + 1) // 2, 0.0
                for j in range(i):
                    entry = np.float64(raw[image, start + j])
                    shift += entry * noise[row, j]
                    divergence += entry * entry / 2
                z[image, offset + i] += shift
        kl[image, factors[factor, COLUMN]] = divergence


@compiled
def differentiate_normals(
    family: int,
    by_z: Array,
    by_kl: Array,
    raw: Array,
    factors: Array,
    noise: Array,
    scales: Array,
    slopes: Array,
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
        scales: as `draw_normals` filled it.
        slopes: as `draw_normals` filled it.
        by_raw: the group's columns are filled, shape (images, outputs).
    """
    dim = noise.shape[1]
    for row in range(len(noise)):
        image, factor = divmod(row, len(factors))
        offset, first = factors[factor, OFFSET], factors[factor, PARAMETER]
        by_divergence = np.float64(by_kl[image, factors[factor, COLUMN]])
        shared = 0.0  # the gradient by a scale that all coordinates share
        for i in range(dim):
            by_x = np.float64(by_z[image, offset + i])
            by_raw[image, offset + i] = by_x + by_divergence * raw[image, offset + i]
            scale = scales[row, i]
            by_scale = by_x * noise[row, i] + by_divergence * (scale - 1 / scale)
            shared += by_scale
            if family != NORMAL_SINGLE:
                by_raw[image, first + _diagonal(family, i)] = by_scale * slopes[row, i]
            if family == NORMAL_FULL:
                start = first + i * (i + 1) // 2
                for j in range(i):
                    by_entry = by_x * noise[row, j] + by_divergence * raw[image, start + j]
                    by_raw[image, start + j] = by_entry
        if family == NORMAL_SINGLE:
            by_raw[image, first] = shared * slopes[row, 0]
