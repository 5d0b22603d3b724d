"""The check and the mean of the points that a distribution is fitted to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constraints import unit_sphere
from sxvae.distributions.geometry import on_sphere


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
    """`x` in float64 with its mean.

    Raises:
        ValueError: if the shape of `x` is not (n, ..., p) with n and p of 2 or more, a norm is not
            1, or all vectors of a set coincide.
    """
    if x.dim() < 2 or len(x) < 2 or x.shape[-1] < 2:
        raise ValueError(
            "x needs the shape (n, ..., p) with n and p of 2 or more; its shape is "
            f"{tuple(x.shape)}"
        )
    if not bool(unit_sphere.check(x).all()):
        raise ValueError("x holds vectors whose norm is not 1")
    values = on_sphere(x.detach()).double()
    # Relative to the first point, so that the spread is exactly 0 if all points are equal.
    differences = values - values[0]
    mean_difference = differences.mean(dim=0)
    spread = (differences - mean_difference).square().sum(dim=-1).mean(dim=0)
    if bool((spread <= torch.finfo(x.dtype).eps ** 2).any()):
        raise ValueError("all vectors coincide, so the likelihood has no maximum")
    return Points(values, values[0] + mean_difference, spread)
