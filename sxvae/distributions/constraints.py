"""Constraints that torch.distributions does not have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

# Far above rounding in either type, far below any mistake.
_TOLERANCE = 1e-4


class _UnitSphere(Constraint):
    """Vectors of Euclidean norm 1 along the last axis."""

    is_discrete = False
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Whether each vector has norm 1 within 1e-4, shape (...)."""
        within: Tensor = (torch.linalg.vector_norm(value, dim=-1) - 1).abs() <= _TOLERANCE
        return within


unit_sphere = _UnitSphere()
