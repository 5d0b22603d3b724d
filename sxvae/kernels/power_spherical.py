"""How a power spherical sample's cosine moves with the concentration, compiled for the CPU."""

from __future__ import annotations

import math

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.quadrature import exponential, integration_width, log_of_one_plus


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
    scratch: Array,
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
        scratch: for intermediate values, shape (2, nodes).
    """
    if one_minus_cosine < 1:
        statistic = math.log1p(-one_minus_cosine / 2)
    else:
        statistic = math.log(one_plus_cosine / 2)
    if ambient == 3:  # ((1 + t) / 2)^(k + 1) is the distribution function
        return one_plus_cosine * statistic / (k + 1)
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
    values, distances = scratch[0], scratch[1]
    for node in range(len(nodes)):
        inward = width * nodes[node]
        u = inward * (2 - inward)
        log_end, log_other = log_of_one_plus(-u), log_of_one_plus(ratio * u)
        values[node] = (1 - inward) * exponential(first * log_end + second * log_other)
        distances[node] = log_other if above_mean else -log_end
    total = 0.0
    for node in range(len(nodes)):
        total += weights[node] * values[node] * (deviation + distances[node])
    derivative: float = -2 * distance * width * total
    return derivative
