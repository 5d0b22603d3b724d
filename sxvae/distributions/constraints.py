"""Constraints that torch.distributions does not have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from sxvae.distributions.precision import promoted
from sxvae.errors import NumericalError
from sxvae.kernels.constants import LARGEST_CONCENTRATION

# Far above the rounding errors of float32, far below what a mistake would leave.
_TOLERANCE = 1e-4
# In units of a type's rounding: squares, their sum, its root and the quotients are each rounded,
# which leaves three halves of a unit.
_ROUNDINGS = 2


def _norm_tolerance(dtype: torch.dtype) -> float:
    """How far from 1 the norm of a vector is that was normalised in this type."""
    return max(_TOLERANCE, _ROUNDINGS * torch.finfo(dtype).eps)


class _UnitSphere(Constraint):
    """Vectors of Euclidean norm 1 along the last axis."""

    is_discrete = False
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each vector has norm 1, within the rounding of its type or 1e-4, shape (...)."""
        norm = torch.linalg.vector_norm(promoted(value), dim=-1)
        within: Tensor = (norm - 1).abs() <= _norm_tolerance(value.dtype)
        return within


class _FiniteNonnegative(Constraint):
    """Numbers from 0 to 1e100, beyond which squares of squares would overflow."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Whether each number is >= 0, finite and not too large, shape (...)."""
        if torch.finfo(value.dtype).max > LARGEST_CONCENTRATION:
            return (value >= 0) & (value <= LARGEST_CONCENTRATION)
        return (value >= 0) & (value < torch.inf)


unit_sphere = _UnitSphere()
finite_nonnegative = _FiniteNonnegative()


def check_concentrations(concentration: Tensor, family: str, ambient: int) -> None:
    """Raise a NumericalError that names a concentration below 0 or above 1e100."""
    valid = finite_nonnegative.check(concentration)
    if not bool(valid.all()):
        bad = concentration[~valid]
        raise NumericalError(
            f"{family} sampling in R^{ambient} needs concentrations finite and >= 0, up to "
            f"{LARGEST_CONCENTRATION:g}: "
            f"{bad.numel()} of {concentration.numel()} are not, for example {bad[0].item()}"
        )
