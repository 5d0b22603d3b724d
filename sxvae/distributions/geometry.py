"""The geometry of unit spheres: surface area, uniform directions, normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sxvae.distributions.precision import REDUCED_TYPES, without_autocast
from sxvae.distributions.transforms import is_transforming
from sxvae.kernels.constants import SMALLEST_NORM

# The types of shapes that torch.distributions accepts.
Shape = torch.Size | list[int] | tuple[int, ...]


def log_surface_area(dim: int) -> float:
    """Log of the surface area of S^dim, the unit sphere of R^(dim + 1), in nats."""
    ambient = dim + 1
    return math.log(2) + ambient / 2 * math.log(math.pi) - math.lgamma(ambient / 2)


def uniform_directions(
    shape: Sequence[int], *, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    """Vectors drawn uniformly from the unit sphere: `shape` with the ambient axis last."""
    if shape[-1] == 1:  # 1 or -1; of float32 normals one in 25 million is 0, without a direction
        return torch.randint(0, 2, tuple(shape), device=device).to(dtype) * 2 - 1
    normal = torch.randn(tuple(shape), dtype=dtype, device=device)
    return torch.nn.functional.normalize(normal, dim=-1, eps=torch.finfo(dtype).tiny)


def uniform_directions_of_any_length(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Vectors of any norm in uniform directions, on the CPU: standard normal; in R^1, 1 or -1."""
    if shape[-1] == 1:
        return uniform_directions(shape, dtype=dtype, device="cpu")
    return torch.randn(tuple(shape), dtype=dtype)


def unit_vectors(raw: Tensor) -> Tensor:
    """Vectors scaled to norm 1 along the last axis, as `torch.nn.functional.normalize` does.

    The gradient takes four operations instead of a dozen. Traces and transforms get PyTorch's own
    function.
    """
    if raw.dtype in REDUCED_TYPES:
        return on_sphere(raw).to(raw.dtype)
    if torch.compiler.is_compiling() or is_transforming():
        return torch.nn.functional.normalize(raw, dim=-1)
    unit: Tensor = _Unit.apply(raw)
    return unit


def on_sphere(vectors: Tensor) -> Tensor:
    """Unit vectors of a reduced type in float32, at length 1 again; any others as they are."""
    if vectors.dtype not in REDUCED_TYPES:
        return vectors
    with without_autocast():
        return unit_vectors(vectors.float())


def _length(raw: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    return norm.clamp_min(SMALLEST_NORM)


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        length = _length(raw)
        unit = raw / length
        ctx.save_for_backward(raw, length, unit)
        return unit

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        raw, length, unit = ctx.saved_tensors
        if torch.is_grad_enabled():  # second derivatives need the length as a function of raw
            length = _length(raw)
            unit = raw / length
        inner = (grads[0] * unit).sum(dim=-1, keepdim=True)
        return torch.addcmul(grads[0], unit, inner, value=-1) / length
