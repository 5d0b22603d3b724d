"""KL, mean and variance of exponential families on spheres, interpolated from a table.

Every training step needs the KL to the uniform distribution, the mean of -s and the variance of the
statistic s. For one family and dimension they depend on the concentration k alone, and each is a
power of k times a function that varies slowly with log k. A polynomial of degree 6 in each of many
cells of log k therefore gives it to twelve digits, by a few operations instead of hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_DEGREE = 6
_CELL = 0.05
_LOWEST, _HIGHEST = 1e-9, 1e38
_CELLS = math.ceil(math.log(_HIGHEST / _LOWEST) / _CELL)
_START = math.log(_LOWEST)


class PartitionMoments(NamedTuple):
    """KL to the uniform, E[-s] and Var[s] of an exponential family, float64.

    The family has the density exp(k s - L(k)) with respect to the uniform distribution, for a
    concentration k, a statistic s and the log-partition function L.

    Attributes:
        kl: k L' - L, the KL to the uniform distribution, nats.
        mean_minus_s: E[-s] = -L'.
        variance: Var[s] = L''.
    """

    kl: Tensor
    mean_minus_s: Tensor
    variance: Tensor


class PartitionTable:
    """`PartitionMoments` of one family on one sphere, as functions of the concentration.

    Args:
        exact: computes them at float64 concentrations, shape (n,), above 0.

    Attributes:
        start: the logarithm of the first cell's lowest concentration.
        cell: a cell's width in the logarithm.
    """

    def __init__(self, exact: Callable[[Tensor], PartitionMoments]) -> None:
        interpolation = _inverse_vandermonde()
        positions = torch.arange(_CELLS).unsqueeze(-1) + (_nodes() + 1) / 2
        k = torch.exp(_START + _CELL * positions)
        kl, mean_minus_s, variance = (each.view_as(k) for each in exact(k.flatten()))
        values = torch.stack([kl / k**2, mean_minus_s, variance], dim=-1)
        coefficients = torch.einsum("jn,cnf->cjf", interpolation, values).flatten(1)
        self.start, self.cell = _START, _CELL
        self._copies = {k.device: coefficients.contiguous()}

    def __call__(self, concentration: Tensor) -> PartitionMoments:
        """The moments at concentrations k >= 0, any shape and type.

        For k below 1e-9 they are those of the limit k = 0, where the KL is proportional to k^2; for
        k above 1e38, about float32's largest number, they go on by their laws for large k: 1/k for
        E[-s], 1/k^2 for Var[s], and their integral log k for the KL. NaN gives NaN.
        """
        k = concentration.double()
        position = k.clamp(_LOWEST, _HIGHEST).log_().sub_(_START).div_(_CELL)
        cell = position.long().clamp(0, _CELLS - 1)
        t = (position - cell).mul_(2).sub_(1).unsqueeze(-1)
        found = self.on(k.device).index_select(0, cell.reshape(-1))
        rows = found.view(*k.shape, _DEGREE + 1, 3).unbind(-2)
        moments = rows[-1]
        for coefficients in reversed(rows[:-1]):
            moments = torch.addcmul(coefficients, moments, t)
        kl, mean_minus_s, variance = moments.unbind(-1)
        inside, beyond = k.clamp(max=_HIGHEST), k.clamp(min=_HIGHEST) / _HIGHEST
        kl = kl * inside * inside + variance * inside * inside * beyond.log()
        return PartitionMoments(kl, mean_minus_s / beyond, variance / beyond / beyond)

    def on(self, device: torch.device) -> Tensor:
        """The coefficients on a device, shape (cells, 3 (degree + 1)).

        A row holds the coefficients of t^0 of the three moments, then those of t^1, and so on,
        where t goes from -1 to 1 in its cell.
        """
        if device not in self._copies:
            self._copies[device] = self._copies[torch.device("cpu")].to(device)
        return self._copies[device]


def _nodes() -> Tensor:
    """Chebyshev's nodes on [-1, 1]: t is -1 where a cell starts and 1 where it ends."""
    steps = np.arange(_DEGREE + 1)
    return torch.tensor(-np.cos(np.pi * (steps + 0.5) / (_DEGREE + 1)))


def _inverse_vandermonde() -> Tensor:
    """The matrix that maps a polynomial's values at the nodes to its coefficients."""
    inverse: Tensor = torch.linalg.inv(_nodes().unsqueeze(-1) ** torch.arange(_DEGREE + 1))
    return inverse
