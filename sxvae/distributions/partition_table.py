"""What training needs of a log-partition function at every step, interpolated from exact values.

For a family of one dimension these are functions of the concentration k alone: the KL to the
uniform distribution, the mean of -s and the variance of s. Each is a power of k times a function
that varies slowly with log k, so a polynomial of degree 6 in each of many cells of log k gives it
to twelve digits: a few operations in place of hundreds.
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


class Figures(NamedTuple):
    """Of a distribution whose density is exp(k s - L(k)) over the uniform one, float64.

    Attributes:
        kl: k L' - L, its KL to the uniform distribution.
        loss: -L', the mean of -s.
        curvature: L'', the variance of s.
    """

    kl: Tensor
    loss: Tensor
    curvature: Tensor


class PartitionTable:
    """The figures of one family on one sphere.

    Args:
        exact: the figures at float64 concentrations, shape (n,), above 0.

    Attributes:
        start: the logarithm of the first cell's lowest concentration.
        cell: a cell's width in the logarithm.
    """

    def __init__(self, exact: Callable[[Tensor], Figures]) -> None:
        interpolation = _inverse_vandermonde()
        places = torch.arange(_CELLS).unsqueeze(-1) + (_nodes() + 1) / 2
        k = torch.exp(_START + _CELL * places)
        kl, loss, curvature = (each.view_as(k) for each in exact(k.flatten()))
        values = torch.stack([kl / k**2, loss, curvature], dim=-1)
        coefficients = torch.einsum("jn,cnf->cjf", interpolation, values).flatten(1)
        self.start, self.cell = _START, _CELL
        self._copies = {k.device: coefficients.contiguous()}

    def __call__(self, concentration: Tensor) -> Figures:
        """The figures at concentrations k >= 0, any shape and type.

        Below 1e-9 by their limits for small k; above 1e38, float32's largest, as at 1e38; NaN for
        NaN.
        """
        k = concentration.double()
        place = k.clamp(_LOWEST, _HIGHEST).log_().sub_(_START).div_(_CELL)
        cell = place.long().clamp_(0, _CELLS - 1)
        t = (place - cell).mul_(2).sub_(1).unsqueeze(-1)
        rows = self.on(k.device)[cell].unflatten(-1, (_DEGREE + 1, 3)).unbind(-2)
        figures = rows[-1]
        for coefficients in reversed(rows[:-1]):
            figures = torch.addcmul(coefficients, figures, t)
        kl, loss, curvature = figures.unbind(-1)
        return Figures(kl * k * k, loss, curvature)

    def on(self, device: torch.device) -> Tensor:
        """The coefficients: a cell's row holds those of t^0 of the three figures, of t^1, ..."""
        if device not in self._copies:
            self._copies[device] = self._copies[torch.device("cpu")].to(device)
        return self._copies[device]


def _nodes() -> Tensor:
    """Chebyshev's nodes on [-1, 1]: t is -1 where a cell starts and 1 where it ends."""
    steps = np.arange(_DEGREE + 1)
    return torch.tensor(-np.cos(np.pi * (steps + 0.5) / (_DEGREE + 1)))


def _inverse_vandermonde() -> Tensor:
    """From values at the nodes to the coefficients of powers."""
    inverse: Tensor = torch.linalg.inv(_nodes().unsqueeze(-1) ** torch.arange(_DEGREE + 1))
    return inverse
