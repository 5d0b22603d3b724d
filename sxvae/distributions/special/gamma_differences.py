"""Differences of log Gamma, digamma and trigamma, accurate where PyTorch's functions would cancel.

The power spherical distribution needs log Gamma(a + b) - log Gamma(a) and its derivatives for a
from 1/2 to 1e8. The difference of two values of `torch.lgamma` has an error of 1e-7 for the largest
a, and `torch.polygamma` is accurate to nine digits only. Here the difference is taken on paper, of
Stirling's series (DLMF 5.11) at a + 12; twelve steps of Gamma(z + 1) = z Gamma(z) lead down to a.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 12
# B_2j / (2j (2j - 1)): the coefficient of z^(1-2j) in log Gamma.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _series_rows() -> list[list[float]]:
    """The coefficients of the series of log Gamma and of its first two derivatives."""
    rows = [list(_STIRLING)]
    for derivatives in range(2):
        rows.append([-c * (2 * j + 1 + derivatives) for j, c in enumerate(rows[-1])])
    return rows


with torch.inference_mode(False):  # whatever mode this is imported in
    _SERIES = torch.tensor(_series_rows(), dtype=torch.float64)
    _POWERS = torch.arange(len(_STIRLING), dtype=torch.float64)


def log_gamma_difference(a: Tensor, b: float) -> Tensor:
    """Log Gamma(a + b) - log Gamma(a).

    Args:
        a: 1/2 or more, float64, any shape.
        b: positive.

    Returns:
        A tensor like `a`, differentiable.
    """
    top = a + _STEPS
    main = b * torch.log(top + b) + (top - 0.5) * torch.log1p(b / top) - b
    return main + _series_difference(top, b, 0) - torch.log1p(b / _ladder(a)).sum(dim=-1)


def digamma_difference(a: Tensor, b: float) -> Tensor:
    """psi(a + b) - psi(a) > 0, the derivative of `log_gamma_difference`; same arguments."""
    top, ladder = a + _STEPS, _ladder(a)
    main = torch.log1p(b / top) + b / (2 * top * (top + b))
    steps = (b / (ladder * (ladder + b))).sum(dim=-1)
    return main + _series_difference(top, b, 1) + steps


def trigamma_difference(a: Tensor, b: float) -> Tensor:
    """psi'(a + b) - psi'(a) < 0, the derivative of `digamma_difference`; same arguments."""
    top, ladder = a + _STEPS, _ladder(a)
    product = top * (top + b)
    main = -b / product - b * (2 * top + b) / (2 * product**2)
    steps = (b * (2 * ladder + b) / (ladder * (ladder + b)) ** 2).sum(dim=-1)
    return main + _series_difference(top, b, 2) - steps


def _ladder(a: Tensor) -> Tensor:
    """a, a + 1, ..., a + 11 along a new last axis."""
    return a.unsqueeze(-1) + torch.arange(_STEPS, dtype=a.dtype, device=a.device)


def _series_difference(top: Tensor, b: float, derivatives: int) -> Tensor:
    """The difference between z = top + b and z = top of Stirling's series or a derivative of it.

    The series is log Gamma(z) - (z - 1/2) log z + z, without its constant.
    """
    z = torch.stack([top + b, top])
    powers = (1 / z**2).unsqueeze(-1) ** _POWERS.to(z.device)
    ends = powers @ _SERIES[derivatives].to(z.device) / z ** (1 + derivatives)
    return ends[0] - ends[1]
