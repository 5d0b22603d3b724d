"""The angle between a von Mises-Fisher sample and its mean direction: sampling and its gradient.

With y = 1 - <loc, x> on the unit sphere of R^p, the density of y is proportional to
exp(-k y) (y (2 - y))^((p-3)/2). Wood (1994) draws e from Beta((p-1)/2, (p-1)/2), maps it to
y = 2 b e / D with D = 1 - (1-b) e, and accepts with log-probability (p-1) (log t - t + 1),
t = (1+b) / (2 D). Computed from c = 2e - 1, both y and 2 - y keep all their digits, whether k is 0
or 1e8.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.sampling.implicit import Side, integral_over_side
from sxvae.errors import NumericalError

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
# Where a proposal for each concentration would be cheaper than the calls that make it, there are
# several at once, about so many in all.
_PROPOSALS, _MOST_AT_ONCE = 2_048, 8
_SMALLEST = 2.0**-53
# Stands for 0 where a formula divides by k: its limit is reached to eight digits or more.
_SMALLEST_CONCENTRATION = 1e-8


class Gaps(NamedTuple):
    """The distances of <loc, x> from 1 and from -1, float64, both above 0; their sum is 2."""

    near: Tensor
    far: Tensor


class _Envelope(NamedTuple):
    """Wood's b for each concentration, (1 + b) / 2 and (1 - b) / 2."""

    b: Tensor
    half_sum: Tensor
    half_difference: Tensor


def _envelope(concentration: Tensor, ambient: int) -> _Envelope:
    twice = 2 * concentration
    b = (ambient - 1) / ((twice * twice).add_((ambient - 1) ** 2).sqrt_() + twice)
    half = b / 2
    return _Envelope(b, half + 0.5, 0.5 - half)


def _symmetric_beta(like: Tensor, ambient: int) -> Tensor:
    """2e - 1 for e from Beta((p-1)/2, (p-1)/2), from two uniforms (Ulrich 1984)."""
    cosine = torch.rand_like(like).mul_(2 * math.pi).cos_()
    if ambient == 2:
        return cosine
    log_uniform = torch.rand_like(like).log_().mul_(2 / (ambient - 2))
    return log_uniform.expm1_().neg_().sqrt_().mul_(cosine)


def _propose(envelope: _Envelope, width: int, ambient: int) -> tuple[Tensor, Tensor, Tensor]:
    """2e - 1 and D of `width` proposals for each envelope, and which of them are accepted."""
    like = envelope.b.expand(width, -1)
    centred = _symmetric_beta(like, ambient)
    denominator = torch.addcmul(envelope.half_sum, envelope.half_difference, centred, value=-1)
    t = envelope.half_sum / denominator
    log_acceptance = t.log().sub_(t).add_(1).mul_(ambient - 1)
    return centred, denominator, torch.rand_like(like).log_() <= log_acceptance


def _draw(concentration: Tensor, ambient: int) -> Gaps:
    """By rejection, for float64 concentrations along one axis; only rejected ones are redrawn."""
    # Negative and infinite concentrations become NaN, which never accepts.
    valid = torch.where(concentration >= 0, concentration + 0 * concentration, math.nan)
    envelope = _envelope(valid, ambient)
    several = concentration.numel() <= _PROPOSALS
    centred, denominator, rejected = _first_accepted(envelope, ambient, several)
    pending = rejected.nonzero().squeeze(-1)
    for _ in range(_MAX_ROUNDS):
        if pending.numel() == 0:
            near = (centred + 1).clamp_min_(_SMALLEST).mul_(envelope.b).div_(denominator)
            return Gaps(near, (1 - centred).clamp_min_(_SMALLEST).div_(denominator))
        left = _Envelope(*(each[pending] for each in envelope))
        drawn, its_denominator, rejected = _first_accepted(left, ambient, several)
        centred[pending], denominator[pending] = drawn, its_denominator
        pending = pending[rejected]
    check_concentrations(concentration, "von Mises-Fisher", ambient)
    raise NumericalError(
        f"von Mises-Fisher sampling in R^{ambient} did not end for {pending.numel()} of "
        f"{concentration.numel()} concentrations, {concentration[pending][0].item()} say"
    )


def _first_accepted(
    envelope: _Envelope, ambient: int, several: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """2e - 1 and D of an accepted proposal for each envelope, and which have none."""
    width = max(1, min(_MOST_AT_ONCE, _PROPOSALS // envelope.b.numel())) if several else 1
    centred, denominator, accepted = _propose(envelope, width, ambient)
    if width == 1:
        return centred[0], denominator[0], ~accepted[0]
    found, first = accepted.max(dim=0)
    row = first.unsqueeze(0)
    return centred.gather(0, row)[0], denominator.gather(0, row)[0], ~found


def _invert(concentration: Tensor) -> Gaps:
    """The same on S^2, where the distribution function of y can be inverted [1]."""
    check_concentrations(concentration, "von Mises-Fisher", 3)
    k = concentration.clamp_min(_SMALLEST_CONCENTRATION)
    near = torch.rand_like(k).mul_(torch.expm1(-2 * k)).log1p_().neg_().div_(k)
    near = near.clamp_(_SMALLEST, 2 - 2 * _SMALLEST)
    return Gaps(near, 2 - near)


def sample_cosine_gap(concentration: Tensor, ambient: int) -> Gaps:
    """Draw 1 - <loc, x> for x from a von Mises-Fisher distribution on the unit sphere of R^p.

    Args:
        concentration: k >= 0, any shape.
        ambient: p >= 2.

    Returns:
        1 - <loc, x> and 1 + <loc, x>, of the same shape, without gradients.

    Raises:
        NumericalError: if a concentration is negative or not finite.
    """
    flat = concentration.double().reshape(-1)
    gaps = _invert(flat) if ambient == 3 else _draw(flat, ambient)
    return Gaps(*(each.view(concentration.shape) for each in gaps))


def cosine_gap_derivative(
    gaps: Gaps, concentration: Tensor, mean_gap: Tensor, ambient: int, dtype: torch.dtype
) -> Tensor:
    """d(1 - <loc, x>)/dk of samples at fixed probability [5].

    Args:
        gaps: the samples', shape (n,), float64 like all tensors here.
        concentration: k.
        mean_gap: E[1 - <loc, x>].
        ambient: p.
        dtype: what the integrand is computed in.

    Returns:
        Shape (n,), float64.
    """
    near, far = gaps
    if ambient == 3:
        return _inverse_derivative(near, far, concentration)
    power = (ambient - 3) / 2
    is_near = near <= mean_gap
    distance = torch.where(is_near, near, far)
    ratio = (distance / torch.where(is_near, far, near)).to(dtype)
    reach = concentration * distance
    rate = torch.where(is_near, reach, -reach).to(dtype)
    deviation = (mean_gap - near).abs().to(dtype).unsqueeze(-1)
    slope, falling, growing = (
        each.unsqueeze(-1) for each in (distance.to(dtype), ratio - 1, ratio)
    )

    def integrand(u: Tensor) -> tuple[Tensor, Tensor]:
        powers = torch.addcmul(falling, growing, u, value=-1).mul_(u).log1p_().mul_(power)
        return powers.addcmul_(rate.unsqueeze(-1), u), torch.addcmul(deviation, slope, u)

    integral = integral_over_side(Side(ratio, power, power, rate), integrand)
    return -2 * distance * integral


def _inverse_derivative(near: Tensor, far: Tensor, concentration: Tensor) -> Tensor:
    """On S^2, with A = 1 - e^(-k y) and B = 1 - e^(-k (2-y)), in closed form."""
    k = concentration.clamp_min(_SMALLEST_CONCENTRATION)
    a, b = -torch.expm1(-k * near), -torch.expm1(-k * far)
    return (far * a * (1 - b) - near * b) / (-torch.expm1(-2 * k) * k)
