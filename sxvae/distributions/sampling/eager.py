"""Samples around a mean direction from their cosines, and their gradients, in PyTorch.

A sample with the cosine t is x = t loc + sqrt(1 - t^2) w, where w is uniform among the unit vectors
orthogonal to `loc`. To get w, a uniform unit vector v of the tangent space at a pole is carried to
`loc` by the rotation between the two. The pole is sign(f) e_1, where f is the first coordinate of
`loc`: the pole nearer to `loc`, so that the rotation is well conditioned everywhere, and

    w = v - <loc, v> (loc + sign(f) e_1) / (1 + |f|).

All of it is one operation for autograd, with its derivatives written by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.traced import CosineDerivative, Drawn, twice_differentiable

# Coordinates in a chunk of samples, so that intermediate results stay in the cache.
_CHUNK = 2**16


class _Assembled(NamedTuple):
    """Samples and the intermediate results that their gradients need.

    Attributes:
        x: the samples, shape (..., p).
        normal: v, not yet of norm 1, shape (..., p).
        scale: 1 over the norm of `normal`, shape (..., 1), as are the next two.
        inner: <loc, v>.
        shrink: 1 / (1 + |f|).
    """

    x: Tensor
    normal: Tensor
    scale: Tensor
    inner: Tensor
    shrink: Tensor


def draw(loc: Tensor, cosines: Cosines) -> Tensor:
    """Draw samples with the given cosines, without gradients.

    Args:
        loc: unit vectors, shape (..., p).
        cosines: of the samples, shape (...).
    """
    rows = max(1, _CHUNK // max(1, loc.shape[1:].numel())) if loc.dim() > 1 else 1
    if loc.dim() == 1 or len(loc) <= rows:
        return _assemble(loc, cosines).x
    chunks = zip(loc.split(rows), *(each.split(rows) for each in cosines), strict=True)
    return torch.cat([_assemble(part, Cosines(*pair)).x for part, *pair in chunks])


def draw_with_gradients(
    loc: Tensor, concentration: Tensor, cosines: Cosines, derivative: CosineDerivative
) -> Tensor:
    """Draw samples with the given cosines, with pathwise gradients.

    Args:
        loc: unit vectors, shape (..., p).
        concentration: k, shape (...).
        cosines: of the samples, shape (...), drawn for these concentrations.
        derivative: how the cosines change with k; called in the backward pass.
    """
    x: Tensor = _Sample.apply(loc, concentration, *cosines, derivative)
    return x


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)


def _cosine_and_sine(cosines: Cosines, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    one_minus, one_plus = cosines
    cosine, sine = (1 - one_minus).to(dtype), (one_minus * one_plus).sqrt_().to(dtype)
    return cosine.unsqueeze(-1), sine.unsqueeze(-1)


def _tangents(loc: Tensor) -> Tensor:
    """Tangent vectors at the pole in uniform directions, of any norm."""
    if loc.shape[-1] == 2:
        normal = torch.zeros(loc.shape, dtype=loc.dtype, device=loc.device)
        shape = (*loc.shape[:-1], 1)
        normal[..., 1:] = uniform_directions(shape, dtype=loc.dtype, device=loc.device)
        return normal
    normal = torch.randn(loc.shape, dtype=loc.dtype, device=loc.device)
    normal[..., 0] = 0
    return normal


def _assemble(loc: Tensor, cosines: Cosines) -> _Assembled:
    cosine, sine = _cosine_and_sine(cosines, loc.dtype)
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
    return _Assembled(x, normal, scale, inner, shrink)


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        loc: Tensor,
        concentration: Tensor,
        one_minus: Tensor,
        one_plus: Tensor,
        derivative: CosineDerivative,
    ) -> Tensor:
        x, *intermediate = _assemble(loc, Cosines(one_minus, one_plus))
        ctx.derivative = derivative
        ctx.save_for_backward(loc, concentration, one_minus, one_plus, *intermediate)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        loc, concentration, one_minus, one_plus, *intermediate = ctx.saved_tensors
        cosines = Cosines(one_minus, one_plus)
        with torch.no_grad():
            by_loc, by_cosine, by_sine = _derivatives(grads[0], loc, cosines, *intermediate)
            by_concentration = None
            if ctx.needs_input_grad[1]:
                cotangent = (1 - one_minus).div_((one_minus * one_plus).sqrt_())
                by_one_minus = (by_sine * cotangent).sub_(by_cosine)
                by_concentration = by_one_minus.mul_(ctx.derivative(concentration, cosines))
                by_concentration = by_concentration.to(concentration.dtype)
        gradients: tuple[Tensor | None, ...] = by_loc, by_concentration
        if torch.is_grad_enabled():  # second derivatives are wanted
            normal, scale = intermediate[:2]
            drawn = Drawn(cosines, (normal * scale)[..., 1:], ctx.derivative)
            inputs = loc, concentration
            gradients = twice_differentiable(gradients, grads[0], inputs, inputs, drawn)
        return *gradients, None, None, None


def _derivatives(
    grad: Tensor,
    loc: Tensor,
    cosines: Cosines,
    normal: Tensor,
    scale: Tensor,
    inner: Tensor,
    shrink: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients with respect to loc, and to the cosine and the sine, shape (...)."""
    cosine, sine = _cosine_and_sine(cosines, loc.dtype)
    first = loc[..., :1]
    along, across = _inner(grad, loc), _inner(grad, normal).mul_(scale)
    towards_pole = torch.copysign(shrink, first)
    by_inner = torch.addcmul(along * shrink, towards_pole, grad[..., :1])  # by <loc, v>, over -sine
    by_sine = torch.addcmul(across, inner, by_inner, value=-1)
    moved = sine * inner
    by_loc = torch.addcmul(cosine, moved, shrink, value=-1) * grad
    by_loc.addcmul_(normal, by_inner * sine * scale, value=-1)
    by_loc[..., :1].addcmul_(moved * towards_pole, by_inner)
    return by_loc, along.squeeze(-1), by_sine.squeeze(-1)
