"""What the KL between two power spherical distributions needs, by deterministic quadrature.

J = E_p[log((1 + <mu_q, x>) / 2)] has no simple closed form. With <mu_p, x> =
cos 2a, p's density of a is proportional to cos^(2k+p-2)(a) sin^(p-2)(a). Around mu_p the component
of x towards mu_q is sin 2a cos f, where f has a density proportional to sin^(p-3)(f), so that with
theta the angle between the two mean directions

    1 + <mu_q, x> = A + B cos f,  A = 1 + cos 2a cos theta,  B = sin 2a sin theta.

The integrand is averaged over f and pi - f, which makes it even in theta: log(Q) / 2 with
Q = (A^2 - B^2 cos^2 f) / 4. It is singular at one point, opposite to mu_q: f = 0 and 2a = pi -
theta. The integral over a is split there and at the density's mode, and both integrals use
double-exponential nodes, which do not mind a singularity at an end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.special.quadrature import double_exponential

# Three times this many nodes for a, these for f: 1e-12 relative on the whole grid of the tests.
_POLAR_NODES, _AZIMUTH_NODES = 96, 64
# Where a weight is below e^-36 of the largest the integrand is left out.
_LOG_NEGLIGIBLE = 36.0
# Nodes evaluated at once, to bound the memory: about 15 arrays of this size.
_CHUNK = 2**20
_TINY = 1e-300


class MeanLogHalf(NamedTuple):
    """J, and its derivatives by the concentration and by 1 - <mu_p, mu_q>."""

    value: Tensor
    by_concentration: Tensor
    by_gap: Tensor


class _Polar(NamedTuple):
    """Nodes a, pi/2 - a and (pi - theta)/2 - a, each accurate near its zero, and weights."""

    angle: Tensor
    complement: Tensor
    to_singularity: Tensor
    weight: Tensor


def _log_sine(angle: Tensor, complement: Tensor) -> Tensor:
    """Log sin of an angle whose complement is known too: accurate near 0 and near pi/2."""
    near_one = torch.log1p(-(torch.sin(complement) ** 2).clamp_max(0.75)) / 2
    return torch.where(angle < math.pi / 4, torch.log(torch.sin(angle)), near_one)


def _polar_nodes(k: Tensor, half_theta: Tensor, ambient: int) -> _Polar:
    """Nodes for concentrations of shape (n, 1), in shape (n, nodes); the weights sum to 1."""
    cosine_power, sine_power = 2 * k + (ambient - 2), ambient - 2
    mode = torch.atan2(torch.full_like(k, sine_power).sqrt(), cosine_power.clamp_min(_TINY).sqrt())
    # The log-density's curvature is at least the sum of its powers.
    reach = torch.sqrt(2 * _LOG_NEGLIGIBLE / (cosine_power + sine_power).clamp_min(1e-3))
    low, high = (mode - reach).clamp_min(0), (mode + reach).clamp_max(math.pi / 2)
    singularity = math.pi / 2 - half_theta
    split = torch.minimum(torch.maximum(singularity, low), high)
    edges = torch.cat([low, mode, split, high], dim=-1).sort(dim=-1).values.unsqueeze(-1)
    left, right = edges[:, :-1], edges[:, 1:]  # (n, 3, 1)

    ascending, descending, weights = double_exponential(_POLAR_NODES, k.device)
    width, singularity = right - left, singularity.unsqueeze(-1)
    from_left, from_right = width * ascending, width * descending
    angle = (left + from_left).clamp_min(_TINY).flatten(1)
    complement = ((math.pi / 2 - right) + from_right).clamp_min(_TINY).flatten(1)
    to_singularity = torch.where(
        right <= singularity, (singularity - right) + from_right, (singularity - left) - from_left
    ).flatten(1)
    log_cosine, log_sine = _log_sine(complement, angle), _log_sine(angle, complement)
    log_density = cosine_power * log_cosine + sine_power * log_sine
    density = torch.exp(log_density - log_density.amax(dim=-1, keepdim=True))
    weight = density * (width * weights).flatten(1)
    return _Polar(angle, complement, to_singularity, weight / weight.sum(dim=-1, keepdim=True))


def _azimuth_nodes(ambient: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """cos^2 f, sin^2 f and their weights, which sum to 1, for f in 0..pi/2."""
    if ambient == 2:  # the sphere around mu_p is two points
        one = torch.ones(1, dtype=torch.float64, device=device)
        return one, 0 * one, one
    reach = math.sqrt(2 * _LOG_NEGLIGIBLE / (ambient - 3)) if ambient > 3 else math.inf
    low = max(0.0, math.pi / 2 - reach)
    ascending, descending, weights = double_exponential(_AZIMUTH_NODES, device)
    sine = torch.sin(low + (math.pi / 2 - low) * ascending)
    cosine = torch.sin((math.pi / 2 - low) * descending)
    weights = weights * sine ** (ambient - 3)
    return cosine**2, sine**2, weights / weights.sum()


def _chunk(k: Tensor, gap: Tensor, ambient: int) -> MeanLogHalf:
    """J and its derivatives for k and 1 - <mu_p, mu_q>, of shape (n,).

    The derivative by theta is taken of p's density, not of the singular logarithm: that of J is
    -k E[tan(a) cos(f) atanh(B cos(f) / A)].
    """
    half_theta = torch.atan2(torch.sqrt(gap / 2), torch.sqrt(1 - gap / 2)).unsqueeze(-1)
    polar = _polar_nodes(k.unsqueeze(-1), half_theta, ambient)
    cosine_squared, sine_squared, azimuth_weight = _azimuth_nodes(ambient, k.device)

    angle, complement = polar.angle.unsqueeze(-1), polar.complement.unsqueeze(-1)
    gap, half_theta = gap[:, None, None], half_theta.unsqueeze(-1)
    sine_theta = torch.sqrt(gap * (2 - gap))
    away = torch.sin(angle) ** 2
    half_a_complement = away + gap / 2 - away * gap  # 1 - A/2
    half_b = torch.sin(angle) * torch.sin(complement) * sine_theta
    at_pole = torch.sin(polar.to_singularity.unsqueeze(-1)) * torch.cos(angle - half_theta)
    q = (at_pole**2 + half_b**2 * sine_squared).clamp_min(_TINY)
    q_complement = half_a_complement * (2 - half_a_complement) + half_b**2 * cosine_squared
    log_q = torch.where(q < 0.5, torch.log(q), torch.log1p(-q_complement.clamp_max(0.75)))
    averaged = log_q @ azimuth_weight / 2
    mean = (averaged * polar.weight).sum(dim=-1)

    statistic = 2 * _log_sine(polar.complement, polar.angle)
    statistic = statistic - (statistic * polar.weight).sum(dim=-1, keepdim=True)
    by_concentration = (statistic * (averaged - mean.unsqueeze(-1)) * polar.weight).sum(dim=-1)

    # atanh(B cos f / A) = log1p(2 B cos f (A + B cos f) / (4 Q)) / 2, over sin theta.
    cosine = cosine_squared.sqrt()
    lift = 2 * cosine * ((1 - half_a_complement) + half_b * cosine) / q
    argument = half_b * lift
    shrink = torch.where(argument < 1e-10, 1.0, torch.log1p(argument) / argument.clamp_min(_TINY))
    slope = (away * cosine * lift * shrink / 2) @ azimuth_weight
    return MeanLogHalf(mean, by_concentration, -k * (slope * polar.weight).sum(dim=-1))


def mean_log_half(concentration: Tensor, gap: Tensor, ambient: int) -> MeanLogHalf:
    """J and its derivatives, without gradients.

    Args:
        concentration: p's k >= 0, float64, any shape.
        gap: 1 - <mu_p, mu_q>, from 0 to 2, of the same shape.
        ambient: the p of R^p.
    """
    nodes = 3 * _POLAR_NODES * (1 if ambient == 2 else _AZIMUTH_NODES)
    rows = max(1, _CHUNK // nodes)
    pairs = zip(concentration.flatten().split(rows), gap.flatten().split(rows), strict=True)
    parts = [_chunk(ks, gaps, ambient) for ks, gaps in pairs]
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return MeanLogHalf(*(column.view(concentration.shape) for column in columns))
