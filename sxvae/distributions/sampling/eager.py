"""Samples around a mean direction, with their gradients in one step each way.

With y = 1 - <loc, x> a sample is x = (1-y) loc + sqrt(y (2-y)) w, w uniform among the unit vectors
that are orthogonal to loc. It is a uniform unit vector v of the tangent space at a pole, carried to
`loc` by the rotation between the two. The pole is sign(f) e_1, f the first coordinate of `loc`:
the nearer one, so the rotation is well conditioned everywhere, `loc` at either pole included, and

    w = v - <loc, v> (loc + sign(f) e_1) / (1 + |f|).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions
from sxvae.distributions.known_derivatives import first_order
from sxvae.distributions.sampling.wood import Gaps

# Numbers of a block of samples: what is made on the way stays in the cache.
_BLOCK = 2**16

# From the gaps to dy/dk for each, float64.
GapDerivative = Callable[[Gaps], Tensor]


class _Placed(NamedTuple):
    """Samples and what their gradients need.

    Attributes:
        x: the samples, shape (..., p).
        normal: v times a length, shape (..., p).
        scale: one over that length, shape (..., 1), like the following.
        inner: <loc, v>.
        shrink: 1 / (1 + |f|).
    """

    x: Tensor
    normal: Tensor
    scale: Tensor
    inner: Tensor
    shrink: Tensor


def draw(loc: Tensor, gaps: Gaps) -> Tensor:
    """Samples without gradients.

    Args:
        loc: unit vectors, shape (..., p).
        gaps: y and 2 - y, shape (...).
    """
    rows = max(1, _BLOCK // max(1, loc.shape[1:].numel())) if loc.dim() > 1 else 1
    if loc.dim() == 1 or len(loc) <= rows:
        return _place(loc, gaps).x
    blocks = zip(loc.split(rows), *(each.split(rows) for each in gaps), strict=True)
    return torch.cat([_place(each, Gaps(near, far)).x for each, near, far in blocks])


def draw_with_gradients(
    loc: Tensor, concentration: Tensor, gaps: Gaps, derivative: GapDerivative
) -> Tensor:
    """Samples with pathwise gradients.

    Args:
        loc: unit vectors, shape (..., p).
        concentration: k, shape (...).
        gaps: y and 2 - y, shape (...).
        derivative: of y by k.
    """
    x: Tensor = _Sample.apply(loc, concentration, *gaps, derivative)
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)


def _cosine_and_sine(gaps: Gaps, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    near, far = gaps
    cosine, sine = (1 - near).to(dtype), (near * far).sqrt_().to(dtype)
    return cosine.unsqueeze(-1), sine.unsqueeze(-1)


def _tangents(loc: Tensor) -> Tensor:
    """Uniform tangent directions at the pole, of any length."""
    if loc.shape[-1] == 2:
        normal = torch.zeros(loc.shape, dtype=loc.dtype, device=loc.device)
        shape = (*loc.shape[:-1], 1)
        normal[..., 1:] = uniform_directions(shape, dtype=loc.dtype, device=loc.device)
        return normal
    normal = torch.randn(loc.shape, dtype=loc.dtype, device=loc.device)
    normal[..., 0] = 0
    return normal


def _place(loc: Tensor, gaps: Gaps) -> _Placed:
    cosine, sine = _cosine_and_sine(gaps, loc.dtype)
    normal = _tangents(loc)
    scale = torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    scale = scale.clamp_min_(torch.finfo(loc.dtype).tiny).reciprocal_()
    inner = _inner(loc, normal).mul_(scale)
    first = loc[..., :1]
    shrink = (first.abs() + 1).reciprocal_()
    moved = sine * inner
    x = torch.addcmul(cosine, moved, shrink, value=-1) * loc
    x.addcmul_(normal, sine * scale)
    x[..., :1].addcmul_(moved, torch.copysign(shrink, first), value=-1)
    return _Placed(x, normal, scale, inner, shrink)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        loc: Tensor,
        concentration: Tensor,
        near: Tensor,
        far: Tensor,
        derivative: GapDerivative,
    ) -> Tensor:
        placed = _place(loc, Gaps(near, far))
        ctx.derivative = derivative
        ctx.save_for_backward(loc, concentration, near, far, *placed[1:])
        return placed.x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        loc, concentration, near, far, *placed = ctx.saved_tensors
        gaps = Gaps(near, far)
        with torch.no_grad():
            by_loc, by_cosine, by_sine = _derivatives(grads[0], loc, gaps, *placed)
            by_concentration = None
            if ctx.needs_input_grad[1]:
                cotangent = (1 - near).div_((near * far).sqrt_())
                by_gap = (by_sine * cotangent).sub_(by_cosine)
                by_concentration = by_gap.mul_(ctx.derivative(gaps)).to(concentration.dtype)
        if torch.is_grad_enabled():  # somebody wants second derivatives
            by_loc = first_order(by_loc, loc, concentration)
            if by_concentration is not None:
                by_concentration = first_order(by_concentration, loc, concentration)
        return by_loc, by_concentration, None, None, None


def _derivatives(
    grad: Tensor,
    loc: Tensor,
    gaps: Gaps,
    normal: Tensor,
    scale: Tensor,
    inner: Tensor,
    shrink: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients with respect to loc and to the cosine 1 - y and the sine, shape (...)."""
    cosine, sine = _cosine_and_sine(gaps, loc.dtype)
    first = loc[..., :1]
    along, across = _inner(grad, loc), _inner(grad, normal).mul_(scale)
    towards_pole = torch.copysign(shrink, first)
    by_inner = torch.addcmul(along * shrink, towards_pole, grad[..., :1])  # over minus the sine
    by_sine = torch.addcmul(across, inner, by_inner, value=-1)
    moved = sine * inner
    by_loc = torch.addcmul(cosine, moved, shrink, value=-1) * grad
    by_loc.addcmul_(normal, by_inner * sine * scale, value=-1)
    by_loc[..., :1].addcmul_(moved * towards_pole, by_inner)
    return by_loc, along.squeeze(-1), by_sine.squeeze(-1)
