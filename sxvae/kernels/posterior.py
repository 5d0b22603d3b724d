"""From the heads' outputs to posterior samples and KL, and back, compiled for the CPU.

Between two matrix products a training step has a few hundred numbers to work on, and PyTorch would
spend its time on calls: here all of it is one call forwards and one backwards. The arithmetic is
that of `PosteriorHead`, `VonMisesFisher` and its KL to the uniform distribution.

There is a row for each image and sphere of a group of equal ones, the spheres of an image one after
the other. What `draw` computes on its way it leaves in `work`, one array of `work_size` numbers.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import SMALLEST_NORM, VON_MISES_FISHER
from sxvae.kernels.sampling import STREAM, differentiate, draw_gaps, interpolate, place

# Of a row: concentration, two gaps, three figures.
_NUMBERS = 6


def work_size(rows: int, ambient: int) -> int:
    """Mean directions and samples in R^p, and the numbers of each row."""
    return rows * (2 * ambient + _NUMBERS)


@compiled
def _parts(work: Array, rows: int, ambient: int) -> tuple[Array, Array, Array]:
    """Mean directions (rows, p), samples (rows, p) and numbers (6, rows)."""
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
        raw: the heads' outputs, shape (batch, ambient + spheres): mean directions of any length,
            then what softplus makes concentrations of.
        offsets: where each sphere's coordinates begin, shape (n,).
        columns: each sphere's place among the concentrations, shape (n,).
        table: the `PartitionTable`'s coefficients.
        start: the logarithm of its lowest concentration.
        cell: its cells' width.
        seed: as for `draw_gaps`.
        first: the first row's number among those of all images.
        direction: vectors of any length, brought to length 1, shape (rows, p - 1).
        work: filled.
        z: the samples are put into their coordinates, shape (batch, ambient).
        kl: the KL is put into its columns, shape (batch, spheres).

    Returns:
        The first row whose concentration is not valid, or -1.
    """
    rows, ambient, concentrations = len(direction), direction.shape[1] + 1, z.shape[1]
    loc, x, numbers = _parts(work, rows, ambient)
    k, near, far, figures = numbers[0], numbers[1], numbers[2], numbers[3:]
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
        k[row] = max(raw_k, 0.0) + math.log1p(math.exp(-abs(raw_k))) + 1
    own_seed = np.uint64(seed) + np.uint64(first) * STREAM
    invalid: int = draw_gaps(k, ambient, own_seed, 0, near, far)
    if invalid >= 0:
        return invalid
    interpolate(k, table, start, cell, figures)
    place(loc, 0, near, far, direction, x)
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        kl[image, columns[sphere]] = figures[0, row]
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
    by_bias: Array,
) -> None:
    """The gradients with respect to the heads' outputs.

    Args:
        by_z: those with respect to the samples, shape (batch, ambient).
        by_kl: those with respect to the KL, shape (batch, spheres).
        raw: as `draw` took it, as are the offsets and columns.
        offsets: shape (n,).
        columns: shape (n,).
        direction: as `draw` left it.
        work: likewise; the samples in it are written over.
        nodes: of the quadrature on [0, 1].
        weights: their weights.
        depth: of the quadrature.
        by_raw: the gradients are put into their places, shape (batch, ambient + spheres).
        by_bias: zeros, to which the sums over the batch are added, shape (ambient + spheres,).
    """
    rows, ambient, concentrations = len(direction), direction.shape[1] + 1, by_z.shape[1]
    loc, by_x, numbers = _parts(work, rows, ambient)
    k, near, far, figures = numbers[0], numbers[1], numbers[2], numbers[3:]
    by_loc, by_k = np.zeros_like(loc), np.zeros_like(k)
    for row in range(rows):
        image, sphere = divmod(row, len(offsets))
        for j in range(ambient):
            by_x[row, j] = by_z[image, offsets[sphere] + j]
    differentiate(
        VON_MISES_FISHER,
        0,
        by_x,
        near,
        far,
        direction,
        loc,
        k,
        figures[1],
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
            gradient = (by_loc[row, j] - inner * loc[row, j]) / length
            by_raw[image, offset + j] = gradient
            by_bias[offset + j] += gradient
        slope = by_k[row] + by_kl[image, column] * k[row] * figures[2, row]
        slope *= -math.expm1(1 - k[row])  # softplus's
        by_raw[image, concentrations + column] = slope
        by_bias[concentrations + column] += slope
