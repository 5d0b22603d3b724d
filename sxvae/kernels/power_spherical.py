"""How a power spherical sample's cosine moves with the concentration, compiled for the CPU."""

from __future__ import annotations

import math

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.quadrature import integration_width


@compiled
def power_spherical_derivative(
    one_minus_cosine: float,
    one_plus_cosine: float,
    k: float,
    mean: float,
    ambient: int,
    nodes: Array,
    weights: Array,
    depth: float,
) -> float:
    """d(1 - t)/dk of one sample's cosine t at fixed probability.

    Args:
        one_minus_cosine: 1 - t.
        one_plus_cosine: 1 + t.
        k: the concentration.
        mean: E[-s] of the statistic s = log((1 + t) / 2).
        ambient: p.
        nodes: of the quadrature on [0, 1].
        weights: of the nodes.
        depth: of the quadrature, as in `implicit`.
    """
    if one_minus_cosine < 1:
        statistic = math.log1p(-one_minus_cosine / 2)
    else:
        statistic = math.log(one_plus_cosine / 2)
    above_mean = statistic >= -mean
    if above_mean:
        distance, other = one_minus_cosine, one_plus_cosine
    else:
        distance, other = one_plus_cosine, one_minus_cosine
    ratio = distance / other
    power = (ambient - 3) / 2
    first, second = (power, power + k) if above_mean else (power + k, power)
    deviation = abs(statistic + mean)
    width = integration_width(ratio, first, second, 0.0, depth)
    total = 0.0
    for node in range(len(nodes)):
        inward = width * nodes[node]
        u = inward * (2 - inward)
        log_end, log_other = math.log1p(-u), math.log1p(ratio * u)
        density = math.exp(first * log_end + second * log_other)
        away = log_other if above_mean else -log_end
        total += weights[node] * (1 - inward) * density * (deviation + away)
    derivative: float = -2 * distance * width * total
    return derivative
