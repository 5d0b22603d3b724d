"""Differences of log Gamma, digamma and trigamma, where those of PyTorch's functions cancel.

What the power spherical distribution needs is log Gamma(a + b) - log Gamma(a) and its derivatives
for a from 1/2 to 1e8. Subtracting two values of `torch.lgamma` leaves an error of 1e-7 for the
largest, and `torch.polygamma` is good to nine digits only. Here Stirling's series (DLMF 5.11) at
a + 12 is subtracted on paper and the twelve steps down follow from Gamma(z + 1) = z Gamma(z).
"""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 12
# B_2j / (2j (2j - 1)): the coefficient of z^(1-2j) in log Gamma.
_STIRLING = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
)


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
    return main + _series(top + b, 0) - _series(top, 0) - torch.log1p(b / _ladder(a)).sum(dim=-1)


def digamma_difference(a: Tensor, b: float) -> Tensor:
    """psi(a + b) - psi(a) > 0, the derivative of `log_gamma_difference`; same arguments."""
    top, ladder = a + _STEPS, _ladder(a)
    main = torch.log1p(b / top) + b / (2 * top * (top + b))
    steps = (b / (ladder * (ladder + b))).sum(dim=-1)
    return main + _series(top + b, 1) - _series(top, 1) + steps


def trigamma_difference(a: Tensor, b: float) -> Tensor:
    """psi'(a + b) - psi'(a) < 0, the derivative of `digamma_difference`; same arguments."""
    top, ladder = a + _STEPS, _ladder(a)
    product = top * (top + b)
    main = -b / product - b * (2 * top + b) / (2 * product**2)
    steps = (b * (2 * ladder + b) / (ladder * (ladder + b)) ** 2).sum(dim=-1)
    return main + _series(top + b, 2) - _series(top, 2) - steps


def _ladder(a: Tensor) -> Tensor:
    """a, a + 1, ..., a + 11 along a new last axis."""
    return a.unsqueeze(-1) + torch.arange(_STEPS, dtype=a.dtype, device=a.device)


def _series(z: Tensor, derivatives: int) -> Tensor:
    """What is left of log Gamma(z) after (z - 1/2) log z - z + log(2 pi)/2, or its derivatives."""
    total = torch.zeros_like(z)
    for j, coefficient in reversed(list(enumerate(_STIRLING))):
        power = 2 * j + 1
        factor = coefficient
        for derivative in range(derivatives):
            factor *= -(power + derivative)
        total = (total + factor) / z**2
    return total * z ** (1 - derivatives)
