"""The cosine between a von Mises-Fisher sample and its mean direction: sampling and its gradient.

On the unit sphere of R^p, y = 1 - <loc, x> has a density proportional to
exp(-k y) (y (2 - y))^((p-3)/2). Wood (1994) draws e from Beta((p-1)/2, (p-1)/2), maps it to
y = 2 b e / D, where D = 1 - (1-b) e, and accepts it with log-probability (p-1) (log r - r + 1),
where r = (1+b) / (2 D). Here y and 2 - y are computed from c = 2e - 1, so that both keep all their
digits for every k from 0 to 1e8.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constraints import check_concentrations, finite_nonnegative
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.implicit import Side, integral_over_side
from sxvae.errors import NumericalError

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
# For few concentrations a round's time is that of its PyTorch calls, so each gets several proposals
# at once: up to this many, and about this many for all of them.
_MOST_AT_ONCE, _PROPOSALS = 8, 2_048
_SMALLEST = 2.0**-53
_LARGEST_RATE = 1e38  # in float32's range
# Stands for 0 where a formula divides by k: it is within 1e-8 of its limit there.
_SMALLEST_CONCENTRATION = 1e-8


class _Envelope(NamedTuple):
    """Wood's b for each concentration, with (1 + b) / 2 and (1 - b) / 2."""

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
    on_circle = torch.rand_like(like).mul_(2 * math.pi).cos_()
    if ambient == 2:
        return on_circle
    log_uniform = torch.rand_like(like).log_().mul_(2 / (ambient - 2))
    return log_uniform.expm1_().neg_().sqrt_().mul_(on_circle)


def _propose(envelope: _Envelope, width: int, ambient: int) -> tuple[Tensor, Tensor, Tensor]:
    """`width` proposals for each envelope: 2e - 1, D, and whether each is accepted."""
    like = envelope.b.expand(width, -1)
    centred = _symmetric_beta(like, ambient)
    denominator = torch.addcmul(envelope.half_sum, envelope.half_difference, centred, value=-1)
    ratio = envelope.half_sum / denominator
    log_acceptance = ratio.log().sub_(ratio).add_(1).mul_(ambient - 1)
    return centred, denominator, torch.rand_like(like).log_() <= log_acceptance


def _draw_by_rejection(concentration: Tensor, ambient: int) -> Cosines:
    """For float64 concentrations, shape (n,); rejected proposals alone are drawn again."""
    # Invalid concentrations become NaN, which never accepts.
    valid = torch.where(finite_nonnegative.check(concentration), concentration, math.nan)
    envelope = _envelope(valid, ambient)
    several = concentration.numel() <= _PROPOSALS
    centred, denominator, rejected = _first_accepted(envelope, ambient, several)
    pending = rejected.nonzero().squeeze(-1)
    for _ in range(_MAX_ROUNDS):
        if pending.numel() == 0:
            one_minus = (centred + 1).clamp_min_(_SMALLEST).mul_(envelope.b).div_(denominator)
            return Cosines(one_minus, (1 - centred).clamp_min_(_SMALLEST).div_(denominator))
        pending_envelope = _Envelope(*(each[pending] for each in envelope))
        new_centred, new_denominator, rejected = _first_accepted(pending_envelope, ambient, several)
        centred[pending], denominator[pending] = new_centred, new_denominator
        pending = pending[rejected]
    check_concentrations(concentration, "von Mises-Fisher", ambient)
    raise NumericalError(
        f"von Mises-Fisher sampling in R^{ambient} did not end for {pending.numel()} of "
        f"{concentration.numel()} concentrations, for example {concentration[pending][0].item()}"
    )


def _first_accepted(
    envelope: _Envelope, ambient: int, several: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """2e - 1 and D of an accepted proposal for each envelope, and whether all were rejected."""
    width = max(1, min(_MOST_AT_ONCE, _PROPOSALS // envelope.b.numel())) if several else 1
    centred, denominator, accepted = _propose(envelope, width, ambient)
    if width == 1:
        return centred[0], denominator[0], ~accepted[0]
    found, first = accepted.max(dim=0)
    row = first.unsqueeze(0)
    return centred.gather(0, row)[0], denominator.gather(0, row)[0], ~found


def _draw_by_inversion(concentration: Tensor) -> Cosines:
    """On S^2, where the distribution function of y has an inverse in closed form [1]."""
    check_concentrations(concentration, "von Mises-Fisher", 3)
    k = concentration.clamp_min(_SMALLEST_CONCENTRATION)
    one_minus = torch.rand_like(k).mul_(torch.expm1(-2 * k)).log1p_().neg_().div_(k)
    one_minus = one_minus.clamp(_SMALLEST / k.clamp_min(1), torch.tensor(2 - 2 * _SMALLEST).to(k))
    return Cosines(one_minus, 2 - one_minus)


def draw_cosines(concentration: Tensor, ambient: int) -> Cosines:
    """Draw <loc, x> for x from von Mises-Fisher distributions on the unit sphere of R^p.

    Args:
        concentration: k >= 0, any shape.
        ambient: p >= 2.

    Returns:
        One cosine for each concentration, of the same shape, without gradients.

    Raises:
        NumericalError: if a concentration is negative or not finite.
    """
    flat = concentration.double().reshape(-1)
    cosines = _draw_by_inversion(flat) if ambient == 3 else _draw_by_rejection(flat, ambient)
    return Cosines(*(each.view(concentration.shape) for each in cosines))


def one_minus_cosine_derivative(
    cosines: Cosines, concentration: Tensor, mean: Tensor, ambient: int, dtype: torch.dtype
) -> Tensor:
    """d(1 - <loc, x>)/dk of samples at fixed probability [5].

    Args:
        cosines: of the samples, shape (n,), float64 like all tensors here.
        concentration: k.
        mean: E[1 - <loc, x>].
        ambient: p.
        dtype: the type that the integrand is computed in.

    Returns:
        Shape (n,), float64.
    """
    one_minus, one_plus = cosines
    if ambient == 3:
        return _inversion_derivative(one_minus, one_plus, concentration)
    power = (ambient - 3) / 2
    is_near = one_minus <= mean  # integrate over the side of the mean direction
    distance = torch.where(is_near, one_minus, one_plus)
    ratio = (distance / torch.where(is_near, one_plus, one_minus)).to(dtype)
    reach = concentration * distance
    reach = reach.clamp_max(_LARGEST_RATE)
    rate = torch.where(is_near, reach, -reach).to(dtype)
    deviation = (mean - one_minus).abs().to(dtype).unsqueeze(-1)
    slope, falling, growing = (
        each.unsqueeze(-1) for each in (distance.to(dtype), ratio - 1, ratio)
    )

    def integrand(u: Tensor) -> tuple[Tensor, Tensor]:
        powers = torch.addcmul(falling, growing, u, value=-1).mul_(u).log1p_().mul_(power)
        return powers.addcmul_(rate.unsqueeze(-1), u), torch.addcmul(deviation, slope, u)

    integral = integral_over_side(Side(ratio, power, power, rate), integrand)
    return -2 * distance * integral


def _inversion_derivative(one_minus: Tensor, one_plus: Tensor, concentration: Tensor) -> Tensor:
    """On S^2 in closed form, by A = 1 - e^(-k y) and B = 1 - e^(-k (2-y))."""
    k = concentration.clamp_min(_SMALLEST_CONCENTRATION)
    a, b = -torch.expm1(-k * one_minus), -torch.expm1(-k * one_plus)
    return (one_plus * a * (1 - b) - one_minus * b) / (-torch.expm1(-2 * k) * k)
