"""How a von Mises-Fisher sample's cosine moves with the concentration, compiled for the CPU."""

from __future__ import annotations

import math

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.quadrature import exponential, integration_width, multiply_by_power

# Stands for 0 where a formula divides by k: its limit is reached to eight digits or more.
_SMALLEST_CONCENTRATION = 1e-8
# Up to so many factors the density's power is a product; beyond, it would overflow or underflow.
_MOST_FACTORS = 64


@compiled
def von_mises_fisher_derivative(
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
        mean: E[1 - t].
        ambient: p.
        nodes: of the quadrature on [0, 1].
        weights: of the nodes.
        depth: of the quadrature, as in `implicit`.
        scratch: for intermediate values, shape (2, nodes).
    """
    if ambient == 3:
        k = max(k, _SMALLEST_CONCENTRATION)
        a, b = -math.expm1(-k * one_minus_cosine), -math.expm1(-k * one_plus_cosine)
        numerator = one_plus_cosine * a * (1 - b) - one_minus_cosine * b
        return numerator / (-math.expm1(-2 * k) * k)
    below_mean = one_minus_cosine <= mean
    if below_mean:
        distance, other = one_minus_cosine, one_plus_cosine
    else:
        distance, other = one_plus_cosine, one_minus_cosine
    ratio = distance / other
    rate = k * distance if below_mean else -k * distance
    deviation = abs(mean - one_minus_cosine)
    power = (ambient - 3) / 2
    width = integration_width(ratio, power, power, rate, depth)
    factors, values = scratch[0], scratch[1]
    if ambient - 3 > _MOST_FACTORS:
        for node in range(len(nodes)):
            inward = width * nodes[node]
            u = inward * (2 - inward)
            exponent = power * math.log(1 + u * (ratio - 1 - ratio * u)) + rate * u
            values[node] = (1 - inward) * (deviation + distance * u) * math.exp(exponent)
    else:
        for node in range(len(nodes)):
            inward = width * nodes[node]
            u = inward * (2 - inward)
            factors[node] = 1 + u * (ratio - 1 - ratio * u)
            values[node] = (1 - inward) * (deviation + distance * u) * exponential(rate * u)
        multiply_by_power(values, factors, ambient - 3)
    total = 0.0
    for node in range(len(nodes)):
        total += weights[node] * values[node]
    return -2 * distance * width * total  # type: ignore[no-any-return]
