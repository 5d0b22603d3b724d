"""The angle between a von Mises-Fisher sample and its mean direction: sampling and its gradient.

With w = <loc, x> on the unit sphere of R^p, the density of w is proportional to
exp(k w) (1 - w^2)^((p-3)/2). Wood (1994) draws e from Beta((p-1)/2, (p-1)/2), maps it to
1 - w = 2 b e / D with D = 1 - (1-b) e, and accepts with log-probability
(p-1) (log(1 + d) - d), d = (1-b) (2e - 1) / (2 D). Everything is computed from e and 1 - e so that
nothing cancels, whether k is 0 or 1e8.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.known_derivatives import first_order
from sxvae.distributions.quadrature import IMPLICIT_NODES, LOG_NEGLIGIBLE, gauss_legendre
from sxvae.errors import NumericalError
from sxvae.special import bessel_terms

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
_SMALLEST = 2.0**-54
# Stands for 0 where a formula divides by k: its limit is reached to all digits.
_SMALLEST_CONCENTRATION = 1e-150


class _Envelope(NamedTuple):
    """Wood's b and 1 - b for each concentration."""

    b: Tensor
    complement: Tensor


def _envelope(concentration: Tensor, ambient: int) -> _Envelope:
    root = torch.sqrt(4 * concentration**2 + (ambient - 1) ** 2)
    total = 2 * concentration + root
    excess = 4 * concentration**2 / (root + (ambient - 1))  # root - (p - 1)
    return _Envelope((ambient - 1) / total, (2 * concentration + excess) / total)


def _log_acceptance(e: Tensor, co_e: Tensor, envelope: _Envelope, ambient: int) -> Tensor:
    d = envelope.complement * (e - co_e) / (2 * (co_e + envelope.b * e))
    return (ambient - 1) * (torch.log1p(d) - d)


def _cosine_gap(e: Tensor, co_e: Tensor, envelope: _Envelope) -> Tensor:
    """1 - w."""
    return 2 * envelope.b * e / (co_e + envelope.b * e)


def _symmetric_beta(like: Tensor, ambient: int) -> tuple[Tensor, Tensor]:
    """A Beta((p-1)/2, (p-1)/2) variate and its complement, from two uniforms (Ulrich 1984)."""
    angle = torch.cos(2 * math.pi * torch.rand_like(like))
    if ambient > 2:
        log_uniform = torch.log(torch.rand_like(like))
        angle = angle * torch.sqrt(-torch.expm1(2 / (ambient - 2) * log_uniform))
    return ((1 + angle) / 2).clamp_min(_SMALLEST), ((1 - angle) / 2).clamp_min(_SMALLEST)


def _draw(concentration: Tensor, ambient: int) -> Tensor:
    """The accepted e for each concentration (float64, one axis); only rejected ones are redrawn."""
    # A negative concentration becomes one that never accepts, as infinite ones are anyway.
    valid = torch.where(concentration >= 0, concentration, math.nan)
    envelope = _envelope(valid, ambient)
    result = torch.empty_like(concentration)
    pending = torch.arange(concentration.numel(), device=concentration.device)
    for _ in range(_MAX_ROUNDS):
        e, co_e = _symmetric_beta(envelope.b, ambient)
        log_uniform = torch.log(torch.rand_like(e))
        accepted = log_uniform <= _log_acceptance(e, co_e, envelope, ambient)
        result[pending[accepted]] = e[accepted]
        rejected = ~accepted
        pending = pending[rejected]
        if pending.numel() == 0:
            return result
        envelope = _Envelope(envelope.b[rejected], envelope.complement[rejected])
    check_concentrations(concentration, "von Mises-Fisher", ambient)
    raise NumericalError(
        f"von Mises-Fisher sampling in R^{ambient} did not end for {pending.numel()} of "
        f"{concentration.numel()} concentrations, {concentration[pending][0].item()} say"
    )


def _invert(concentration: Tensor) -> Tensor:
    """The same on S^2, where w has a distribution function that can be inverted [1]."""
    check_concentrations(concentration, "von Mises-Fisher", 3)
    k = concentration.clamp_min(_SMALLEST_CONCENTRATION)
    gap = (-torch.log1p(torch.rand_like(k) * torch.expm1(-2 * k)) / k).clamp_max(2)
    envelope = _envelope(k, 3)
    return (gap / (2 * envelope.b + envelope.complement * gap)).clamp_min(_SMALLEST)


def _cosine_gap_derivative(e: Tensor, concentration: Tensor, ambient: int) -> Tensor:
    """d(1 - w)/dk at fixed probability [5]: -(1/f(w)) times the integral of (A - w) f below w.

    The integral runs over the angle a of Wood's variable, e = sin^2(a/2): there the density is
    sin^(p-2)(a) times the acceptance, whose width does not depend on k. Of the two sides of the
    sample, which carry opposite integrals, it takes the one on which the integrand keeps its sign.
    """
    envelope = _envelope(concentration, ambient)
    gap = _cosine_gap(e, 1 - e, envelope)
    mean_gap = bessel_terms(ambient / 2 - 1, concentration).complement
    angle = 2 * torch.atan2(torch.sqrt(e), torch.sqrt(1 - e))

    reach = math.sqrt(2 * LOG_NEGLIGIBLE / (ambient - 2)) if ambient > 2 else math.pi
    below = gap <= mean_gap
    width = torch.where(below, angle, math.pi - angle).clamp_max(reach)

    nodes, weights = gauss_legendre(IMPLICIT_NODES, e.device)
    signed = torch.where(below, -width, width)
    half = (angle.unsqueeze(-1) + signed.unsqueeze(-1) * nodes) / 2
    node_e, node_co_e = torch.sin(half) ** 2, torch.cos(half) ** 2
    wide = _Envelope(envelope.b.unsqueeze(-1), envelope.complement.unsqueeze(-1))
    log_density = _log_acceptance(node_e, node_co_e, wide, ambient) + (ambient - 2) / 2 * torch.log(
        (node_e * node_co_e).clamp_min(_SMALLEST**2)
    )
    at_sample = _log_acceptance(e, 1 - e, envelope, ambient) + (ambient - 2) / 2 * torch.log(
        e * (1 - e)
    )
    deviation = (_cosine_gap(node_e, node_co_e, wide) - mean_gap.unsqueeze(-1)).abs()
    integrand = deviation * torch.exp(log_density - at_sample.unsqueeze(-1))
    integral = width * (integrand @ weights)
    slope = 2 * envelope.b * torch.sqrt(e * (1 - e)) / ((1 - e) + envelope.b * e) ** 2
    return -slope * integral


class _CosineGap(torch.autograd.Function):
    """1 - w, drawn by rejection and differentiated implicitly, so the rejection adds no bias."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, ambient: int) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        flat = concentration.double().reshape(-1)
        e = _invert(flat) if ambient == 3 else _draw(flat, ambient)
        e = e.clamp_max(1 - _SMALLEST * 2)
        ctx.ambient = ambient
        ctx.save_for_backward(e, concentration)
        return _cosine_gap(e, 1 - e, _envelope(flat, ambient)).view(concentration.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        e, concentration = ctx.saved_tensors
        with torch.no_grad():
            flat = concentration.double().reshape(-1)
            derivative = _cosine_gap_derivative(e, flat, ctx.ambient).view(grads[0].shape)
        gradient = (grads[0] * derivative).to(concentration.dtype)
        return first_order(gradient, concentration), None


def sample_cosine_gap(concentration: Tensor, ambient: int) -> Tensor:
    """Draw 1 - <loc, x> for x from a von Mises-Fisher distribution on the unit sphere of R^p.

    Args:
        concentration: k >= 0, any shape.
        ambient: p >= 2.

    Returns:
        Values in [0, 2], float64, of the same shape, with the implicit pathwise gradient [5] with
        respect to `concentration` (first order).

    Raises:
        NumericalError: if a concentration is negative or not finite.
    """
    gap: Tensor = _CosineGap.apply(concentration, ambient)
    return gap
