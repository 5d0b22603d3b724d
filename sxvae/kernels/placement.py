"""Samples from their cosines, mean directions and tangent directions, compiled for the CPU."""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled


@compiled
def place(
    loc: Array,
    start: int,
    one_minus_cosine: Array,
    one_plus_cosine: Array,
    direction: Array,
    x: Array,
) -> None:
    """Fill in x = t loc + sqrt(1 - t^2) v with cosine t and v a unit vector orthogonal to loc.

    The vector v is `direction`, orthogonal to the first axis, carried along by the rotation that
    takes the first axis, or its opposite where that is nearer, to loc. Sample i belongs to row
    i % rows of loc.

    Args:
        loc: mean directions, shape (rows, p).
        start: the index of the first sample.
        one_minus_cosine: 1 - t, shape (n,).
        one_plus_cosine: 1 + t, shape (n,).
        direction: vectors of any length; they are brought to length 1 in place, shape (n, p - 1).
        x: filled with the samples, shape (n, p).
    """
    ambient = loc.shape[1]
    for i in range(len(one_minus_cosine)):
        row = (start + i) % len(loc)
        square = 0.0
        for j in range(ambient - 1):
            square += np.float64(direction[i, j]) ** 2
        if square == 0:  # only if all float32 noise of a sample underflows
            direction[i, 0], square = 1, 1.0
        scale, inner = 1 / math.sqrt(square), 0.0
        for j in range(ambient - 1):
            direction[i, j] *= scale
            inner += np.float64(loc[row, j + 1]) * direction[i, j]
        first = np.float64(loc[row, 0])
        towards_pole = math.copysign(1 / (1 + abs(first)), first)
        cosine = 1 - one_minus_cosine[i]
        sine = math.sqrt(one_minus_cosine[i] * one_plus_cosine[i])
        along = cosine - sine * inner * abs(towards_pole)
        x[i, 0] = along * first - sine * inner * towards_pole
        for j in range(1, ambient):
            x[i, j] = along * loc[row, j] + sine * direction[i, j - 1]
