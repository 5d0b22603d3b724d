"""The look-up in a `PartitionTable`, compiled for the CPU."""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import Array, compiled


@compiled
def interpolate(k: Array, table: Array, start: float, cell: float, moments: Array) -> None:
    """Fill in KL to the uniform distribution, mean of -s and variance of s at concentrations.

    Args:
        k: concentrations, shape (n,).
        table: the polynomials' coefficients, shape (cells, 3 (degree + 1)).
        start: the logarithm of the first cell's lowest concentration.
        cell: a cell's width in log k.
        moments: filled, one row for each of the three, shape (3, n), float64.
    """
    cells, degree = len(table), table.shape[1] // 3 - 1
    smallest, largest = math.exp(start), math.exp(start + cells * cell)
    for i in range(len(k)):
        concentration = np.float64(k[i])
        if math.isnan(concentration):
            moments[:, i] = math.nan
            continue
        position = (math.log(min(max(concentration, smallest), largest)) - start) / cell
        index = min(max(int(position), 0), cells - 1)
        t = 2 * (position - index) - 1
        for moment in range(3):
            value = table[index, 3 * degree + moment]
            for power in range(degree - 1, -1, -1):
                value = value * t + table[index, 3 * power + moment]
            moments[moment, i] = value
        if concentration <= largest:
            moments[0, i] *= concentration * concentration
            continue
        # The laws for large k: 1/k for E[-s], 1/k^2 for Var[s], their integral log k for the KL.
        beyond = concentration / largest
        moments[0, i] += moments[2, i] * math.log(beyond)
        moments[0, i] *= largest * largest
        moments[1, i] /= beyond
        moments[2, i] = moments[2, i] / beyond / beyond
