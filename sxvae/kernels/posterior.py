"""From the posterior head's outputs to samples and KL, and back, compiled for the CPU.

A training step has only a few hundred numbers here, on which PyTorch would spend more time calling
operations than computing. So `draw` does all of it in one call, and `differentiate_draw` computes
all gradients in another. The arithmetic is that of `PosteriorHead`, `VonMisesFisher` and its KL to
the uniform distribution.

Both work on a group of spheres of one dimension. There is a row for each image and sphere: first
the spheres of the first image, then those of the second, and so on. `draw` keeps what the gradients
need in `work`, one array of `work_size` numbers.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import CONCENTRATION_FLOOR, SMALLEST_NORM, VON_MISES_FISHER
from sxvae.kernels.gradients import differentiate
from sxvae.kernels.partition_table import interpolate
from sxvae.kernels.placement import place
from sxvae.kernels.random_bits import STREAM
from sxvae.kernels.wood import draw_cosines

# For each row: the concentration, 1 - t, 1 + t, and the three moments of `interpolate`.
_NUMBERS = 6


def work_size(rows: int, ambient: int) -> int:
    """The length of `work`: mean directions and samples in R^p, and six numbers for each row."""
    return rows * (2 * ambient + _NUMBERS)


@compiled
def _parts(work: Array, rows: int, ambient: int) -> tuple[Array, Array, Array]:
    """The parts of `work`: mean directions and samples (rows, p), and numbers (6, rows)."""
    size = rows * ambient
    return (
        work[:size].reshape(rows, ambient),
        work[size : 2 * size].reshape(rows, ambient),
        work[2 * size :].reshape(_NUMBERS, rows),
    )


@compiled
def draw(
    raw: Array,
    offsets: Array,
    columns: Array,
    table: Array,
    start: float,
    cell: float,
    seed: int,
    first: int,
    direction: Array,
    work: Array,
    z: Array,
    kl: Array,
) -> int:
    """One sample of each posterior of a group, and its KL to the uniform distribution.

    Args:
        raw: the head's outputs, shape (batch, ambient + spheres): mean directions of any length,
            then the numbers that become concentrations by softplus + 1.
        offsets: where each sphere's coordinates begin, shape (n,).
        columns: the index of each sphere among the concentrations, shape (n,).
        table: the `PartitionTable`'s coefficients.
        start: the logarithm of its lowest concentration.
        cell: its cells' width.
        seed: of the random streams, as for `draw_cosines`.
        first: the index of the first row among those of all images.
        direction: vectors of any length, brought to length 1 in place, shape (rows, p - 1).
        work: filled, shape (work_size,).
        z: the group's coordinates are filled with its samples, shape (batch, ambient).
        kl: the group's columns are filled with its KL, nats, shape (batch, spheres).

    Returns:
        The first row whose concentration is not finite, or -1.
    """
    rows, ambient, concentrations = len(direction), direction.shape[1] + 1, z.shape[1]
    loc, x, numbers = _parts(work, rows, ambient)
    k, one_minus_cosine, one_plus_cosine = numbers[0], numbers[1], numbers[2]
    moments = numbers[3:]
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        offset = offsets[sphere]
        square = 0.0
        for j in range(ambient):
            square += np.float64(raw[image, offset + j]) ** 2
        length = max(math.sqrt(square), SMALLEST_NORM)
        for j in range(ambient):
            loc[row, j] = raw[image, offset + j] / length
        raw_k = np.float64(raw[image, concentrations + columns[sphere]])
        softplus = max(raw_k, 0.0) + math.log1p(math.exp(-abs(raw_k)))
        k[row] = softplus + CONCENTRATION_FLOOR
    own_seed = np.uint64(seed) + np.uint64(first) * STREAM
    invalid: int = draw_cosines(k, ambient, own_seed, 0, one_minus_cosine, one_plus_cosine)
    if invalid >= 0:
        return invalid
    interpolate(k, table, start, cell, moments)
    place(loc, 0, one_minus_cosine, one_plus_cosine, direction, x)
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        kl[image, columns[sphere]] = moments[0, row]
        for j in range(ambient):
            z[image, offsets[sphere] + j] = x[row, j]
    return -1


@compiled
def differentiate_draw(
    by_z: Array,
    by_kl: Array,
    raw: Array,
    offsets: Array,
    columns: Array,
    direction: Array,
    work: Array,
    nodes: Array,
    weights: Array,
    depth: float,
    by_raw: Array,
) -> None:
    """The gradients with respect to the head's outputs.

    Args:
        by_z: the gradient with respect to the samples, shape (batch, ambient).
        by_kl: the gradient with respect to the KL, shape (batch, spheres).
        raw: the head's outputs, as `draw` took them.
        offsets: as `draw` took them, shape (n,).
        columns: as `draw` took them, shape (n,).
        direction: as `draw` left it.
        work: as `draw` left it; the samples in it are overwritten.
        nodes: of the quadrature on [0, 1].
        weights: of the nodes.
        depth: of the quadrature, as in `implicit`.
        by_raw: the group's columns are filled with the gradients, shape (batch, ambient + spheres).
    """
    rows, ambient, concentrations = len(direction), direction.shape[1] + 1, by_z.shape[1]
    loc, by_x, numbers = _parts(work, rows, ambient)
    k, one_minus_cosine, one_plus_cosine = numbers[0], numbers[1], numbers[2]
    moments = numbers[3:]
    by_loc, by_k = np.zeros_like(loc), np.zeros_like(k)
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        for j in range(ambient):
            by_x[row, j] = by_z[image, offsets[sphere] + j]
    differentiate(
        VON_MISES_FISHER,
        0,
        by_x,
        one_minus_cosine,
        one_plus_cosine,
        direction,
        loc,
        k,
        moments[1],
        nodes,
        weights,
        depth,
        by_loc,
        by_k,
    )
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        offset, column = offsets[sphere], columns[sphere]
        square, inner = 0.0, 0.0
        for j in range(ambient):
            square += np.float64(raw[image, offset + j]) ** 2
            inner += by_loc[row, j] * loc[row, j]
        length = max(math.sqrt(square), SMALLEST_NORM)
        for j in range(ambient):
            by_raw[image, offset + j] = (by_loc[row, j] - inner * loc[row, j]) / length
        slope = by_k[row] + by_kl[image, column] * k[row] * moments[2, row]
        softplus_slope = -math.expm1(CONCENTRATION_FLOOR - k[row])
        by_raw[image, concentrations + column] = slope * softplus_slope
