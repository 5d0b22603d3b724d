"""Gradients of samples with respect to their parameters, compiled for the CPU.

A sample x = t loc + sqrt(1 - t^2) v, placed as in `placement`, moves with loc through the rotation
that carries v, and with the concentration through its cosine t.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import VON_MISES_FISHER
from sxvae.kernels.power_spherical import power_spherical_derivative
from sxvae.kernels.von_mises_fisher import von_mises_fisher_derivative


@compiled
def differentiate(
    family: int,
    start: int,
    grad: Array,
    one_minus_cosine: Array,
    one_plus_cosine: Array,
    direction: Array,
    loc: Array,
    k: Array,
    mean: Array,
    nodes: Array,
    weights: Array,
    depth: float,
    by_loc: Array,
    by_k: Array,
) -> None:
    """Add each sample's gradients with respect to loc and k to those of its row.

    Sample i belongs to row i % rows of the parameters.

    Args:
        family: its number in `constants`.
        start: the index of the first sample.
        grad: the gradient with respect to the samples, shape (n, p).
        one_minus_cosine: 1 - t, shape (n,).
        one_plus_cosine: 1 + t, shape (n,).
        direction: the samples' tangent directions as `place` left them, shape (n, p - 1).
        loc: mean directions, shape (rows, p).
        k: concentrations, shape (rows,).
        mean: E[-s] of the family's statistic s, shape (rows,).
        nodes: of the quadrature on [0, 1].
        weights: of the nodes.
        depth: of the quadrature, as in `implicit`.
        by_loc: added to, shape (rows, p), float64.
        by_k: added to, shape (rows,), float64.
    """
    ambient, scratch = loc.shape[1], np.empty((2, len(nodes)))
    for i in range(len(one_minus_cosine)):
        row = (start + i) % len(loc)
        first = np.float64(loc[row, 0])
        towards_pole = math.copysign(1 / (1 + abs(first)), first)
        shrink = abs(towards_pole)
        cosine = 1 - one_minus_cosine[i]
        sine = math.sqrt(one_minus_cosine[i] * one_plus_cosine[i])
        along, across, inner = np.float64(grad[i, 0]) * first, 0.0, 0.0
        for j in range(1, ambient):
            along += np.float64(grad[i, j]) * loc[row, j]
            across += np.float64(grad[i, j]) * direction[i, j - 1]
            inner += np.float64(loc[row, j]) * direction[i, j - 1]
        by_inner = along * shrink + towards_pole * grad[i, 0]
        by_sine = across - inner * by_inner
        kept = cosine - sine * inner * shrink
        by_loc[row, 0] += kept * grad[i, 0] + sine * inner * towards_pole * by_inner
        for j in range(1, ambient):
            by_loc[row, j] += kept * grad[i, j] - sine * by_inner * direction[i, j - 1]
        if family == VON_MISES_FISHER:
            derivative = von_mises_fisher_derivative(
                one_minus_cosine[i],
                one_plus_cosine[i],
                np.float64(k[row]),
                mean[row],
                ambient,
                nodes,
                weights,
                depth,
                scratch,
            )
        else:
            derivative = power_spherical_derivative(
                one_minus_cosine[i],
                one_plus_cosine[i],
                np.float64(k[row]),
                mean[row],
                ambient,
                nodes,
                weights,
                depth,
                scratch,
            )
        by_k[row] += (by_sine * cosine / sine - along) * derivative
