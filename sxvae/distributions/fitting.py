"""What the maximum-likelihood fits of both families begin with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constraints import unit_sphere


class Points(NamedTuple):
    """Sets of unit vectors in float64.

    Attributes:
        values: shape (n, *batch_shape, p).
        mean: shape (*batch_shape, p).
        spread: 1 - |mean|^2, without cancellation, shape batch_shape.
    """

    values: Tensor
    mean: Tensor
    spread: Tensor


def checked_points(x: Tensor) -> Points:
    """Raise a ValueError unless `x` holds sets of two or more unit vectors, not all one point."""
    if x.dim() < 2 or len(x) < 2 or x.shape[-1] < 2:
        raise ValueError(
            "x needs the shape (n, ..., p) with n and p of 2 or more; its shape is "
            f"{tuple(x.shape)}"
        )
    if not bool(unit_sphere.check(x).all()):
        raise ValueError("x holds vectors whose norm is not 1")
    values = x.detach().double()
    # From the first point, which is exactly 0 if all are that point.
    steps = values - values[0]
    mean_step = steps.mean(dim=0)
    spread = (steps - mean_step).square().sum(dim=-1).mean(dim=0)
    if bool((spread <= torch.finfo(x.dtype).eps ** 2).any()):
        raise ValueError("all vectors coincide, so the likelihood has no maximum")
    return Points(values, values[0] + mean_step, spread)
