"""What every distribution on the unit sphere of R^p needs of its geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# What torch.distributions takes for a shape.
Shape = torch.Size | list[int] | tuple[int, ...]


def log_surface_area(dim: int) -> float:
    """Log of the surface area of S^dim, the unit sphere of R^(dim + 1), in nats."""
    ambient = dim + 1
    return math.log(2) + ambient / 2 * math.log(math.pi) - math.lgamma(ambient / 2)


def uniform_directions(
    shape: Sequence[int], *, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    """Vectors drawn uniformly from the unit sphere: `shape` with the ambient axis last."""
    if shape[-1] == 1:  # a sign: float32 normals are exactly 0 once in 25 million draws
        return torch.randint(0, 2, tuple(shape), device=device).to(dtype) * 2 - 1
    normal = torch.randn(tuple(shape), dtype=dtype, device=device)
    return torch.nn.functional.normalize(normal, dim=-1, eps=torch.finfo(dtype).tiny)


def carry_to_tangent(loc: Tensor, vector: Tensor) -> Tensor:
    """Carry a tangent vector at the pole to one at `loc`, by the rotation between the two.

    The pole is e_1 or -e_1, whichever is nearer to `loc`, so the rotation is well conditioned
    everywhere, `loc` at either of them included. For mu = (mu_1, m) and a tangent vector (0, v) it
    is (-sign(mu_1) <m, v>, v - <m, v> m / (1 + |mu_1|)), linear in v and norm-preserving.

    Args:
        loc: unit vectors, shape (..., p).
        vector: the last p - 1 coordinates of vectors orthogonal to the pole, shape (..., p - 1).

    Returns:
        Vectors orthogonal to `loc`, shape (..., p), with the norms of `vector`.
    """
    first, rest = loc[..., :1], loc[..., 1:]
    inner = (rest * vector).sum(dim=-1, keepdim=True)
    sign = torch.where(first >= 0, 1.0, -1.0).to(loc.dtype)
    return torch.cat([-sign * inner, vector - inner / (1 + first.abs()) * rest], dim=-1)
