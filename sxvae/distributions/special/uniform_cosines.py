"""Means over the cosine between a uniform direction and a fixed one.

The cosine u of a uniform direction on S^m has a density proportional to (1 - u^2)^(m/2 - 1). With
u = tanh(y), y has one proportional to 1 / cosh(y)^m, which decays at both ends, and the trapezoidal
rule converges exponentially: its error is exp(-2 pi a / h) / cos(a)^m for a step h and every a
below pi/2, as far as the function under the mean is smooth where the imaginary part of y is at
most a.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.constants import cached_constant
from sxvae.distributions.transforms import is_transforming

# Errors, and what lies beyond the last node, are exp(-37), about 1e-16.
_DEPTH = 37.0
# Halvings of the interval in which the best a is looked for.
_HALVINGS = 30


class UniformCosines(NamedTuple):
    """The nodes u >= 0 and their weights, float64, shape (nodes,).

    The mean of f is the sum of weight * (f(u) + f(-u)) / 2.

    Attributes:
        one_minus: 1 - u, to all digits, as is the next.
        one_plus: 1 + u.
        weight: their sum is 1.
    """

    one_minus: Tensor
    one_plus: Tensor
    weight: Tensor


def uniform_cosines(dim: int, device: torch.device) -> UniformCosines:
    """The nodes for S^dim: 158 for the circle, 50 for S^4 and fewer for larger spheres.

    They integrate functions that are smooth where the imaginary part of y is below pi/2.
    """
    # Tensors that a trace or a transform makes are of no use to later calls.
    is_kept = not torch.compiler.is_compiling() and not is_transforming()
    return _kept_nodes(dim, device) if is_kept else _nodes(dim, device)


def _step_and_count(dim: int) -> tuple[float, int]:
    """The longest step with the wanted error, and the number of nodes above 0.

    The step is 2 pi a / (depth - m log cos(a)), largest where m (a tan(a) + log cos(a)) is depth.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        a = (low + high) / 2
        if dim * (a * math.tan(a) + math.log(math.cos(a))) < _DEPTH:
            low = a
        else:
            high = a
    step = 2 * math.pi * low / (_DEPTH - dim * math.log(math.cos(low)))
    return step, math.ceil(math.acosh(math.exp(_DEPTH / dim)) / step)


def _nodes(dim: int, device: torch.device) -> UniformCosines:
    step, count = _step_and_count(dim)
    y = (torch.arange(count, dtype=torch.float64, device=device) + 0.5) * step
    one_minus, one_plus = 2 / (1 + torch.exp(2 * y)), 2 / (1 + torch.exp(-2 * y))
    weight = (one_minus * one_plus) ** (dim / 2)
    return UniformCosines(one_minus, one_plus, weight / weight.sum())


_kept_nodes = cached_constant(_nodes)
