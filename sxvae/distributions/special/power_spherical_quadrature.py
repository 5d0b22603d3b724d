"""The integral in the KL between two power spherical distributions, by deterministic quadrature.

The KL needs J = E_p[log((1 + <mu_q, x>) / 2)], which has no simple closed form. Let <mu_p, x> be
cos 2a: then the density of a is proportional to cos^(2k+p-2)(a) sin^(p-2)(a). Around mu_p, the
component of x towards mu_q is sin 2a cos f, where f has a density proportional to sin^(p-3)(f). So
with the angle theta between the two mean directions

    1 + <mu_q, x> = A + B cos f,  A = 1 + cos 2a cos theta,  B = sin 2a sin theta.

The average of the integrand at f and at pi - f is log(Q) / 2 with Q = (A^2 - B^2 cos^2 f) / 4,
which is even in theta. It is singular at one point, opposite to mu_q, where f = 0 and
2a = pi - theta. The integral over a is split there and at the density's mode. Both integrals use
double-exponential nodes, which stay accurate if the integrand is singular at an end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.special.quadrature import double_exponential

# Nodes for a in each of the three parts of its integral, and for f. The relative error is 1e-12 on
# the whole grid of the tests.
_POLAR_NODES, _AZIMUTH_NODES = 96, 64
# Where the density is below e^-36 of its largest value, the integrand is left out.
_LOG_NEGLIGIBLE = 36.0
# The most nodes evaluated at once, which bounds the memory to about 15 arrays of this size.
_CHUNK = 2**20
_TINY = 1e-300


class MeanLogHalf(NamedTuple):
    """J, and its derivatives with respect to the concentration and 1 - <mu_p, mu_q>."""

    value: Tensor
    by_concentration: Tensor
    by_one_minus_cosine: Tensor


class _Polar(NamedTuple):
    """Nodes a, with pi/2 - a and (pi - theta)/2 - a, each accurate near 0, and weights."""

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


def _chunk(k: Tensor, one_minus: Tensor, ambient: int) -> MeanLogHalf:
    """J and its derivatives for k and 1 - <mu_p, mu_q>, both of shape (n,).

    For the derivative with respect to theta, p's density is differentiated instead of the singular
    logarithm: dJ/dtheta = -k E[tan(a) cos(f) atanh(B cos(f) / A)].
    """
    half_theta = torch.atan2(torch.sqrt(one_minus / 2), torch.sqrt(1 - one_minus / 2)).unsqueeze(-1)
    polar = _polar_nodes(k.unsqueeze(-1), half_theta, ambient)
    cosine_squared, sine_squared, azimuth_weight = _azimuth_nodes(ambient, k.device)

    angle, complement = polar.angle.unsqueeze(-1), polar.complement.unsqueeze(-1)
    one_minus, half_theta = one_minus[:, None, None], half_theta.unsqueeze(-1)
    sine_theta = torch.sqrt(one_minus * (2 - one_minus))
    away = torch.sin(angle) ** 2
    half_a_complement = away + one_minus / 2 - away * one_minus  # 1 - A/2
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


def mean_log_half(concentration: Tensor, one_minus_cosine: Tensor, ambient: int) -> MeanLogHalf:
    """J and its derivatives, not differentiable by autograd.

    Args:
        concentration: p's k >= 0, float64, any shape.
        one_minus_cosine: 1 - <mu_p, mu_q>, from 0 to 2, of the same shape.
        ambient: the p of R^p.
    """
    nodes = 3 * _POLAR_NODES * (1 if ambient == 2 else _AZIMUTH_NODES)
    rows = max(1, _CHUNK // nodes)
    pairs = zip(
        concentration.flatten().split(rows), one_minus_cosine.flatten().split(rows), strict=True
    )
    parts = [_chunk(k, one_minus, ambient) for k, one_minus in pairs]
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    return MeanLogHalf(*(column.view(concentration.shape) for column in columns))
