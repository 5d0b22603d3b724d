"""The cosine between a sample and its mean direction, drawn with NumPy for each family.

All functions here draw 1 - cosine, which keeps its digits where samples lie close to the mean
direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.errors import InputError

Floats = NDArray[np.float64]
# From concentrations k >= 0, shape (n,), and the ambient dimension p to 1 - <loc, x>, shape (n,),
# for a sample x each.
CosineSampler = Callable[[Floats, int, np.random.Generator], Floats]

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
# Up to this many proposals are computed faster one by one than as arrays.
_FEW = 8


def _draw_von_mises_fisher(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """By Wood's rejection (1994); rejected proposals alone are drawn again."""
    q = ambient - 1
    one_minus = np.empty_like(k)
    pending = np.arange(k.size)
    for _ in range(_MAX_ROUNDS):
        if pending.size == 0:
            return one_minus
        noise = rng.random((3 if q > 1 else 2, pending.size))
        if pending.size <= _FEW:
            columns = zip(k[pending].tolist(), *noise.tolist(), strict=True)
            proposals = [_wood_proposal(q, math, *column) for column in columns]
            one_minus[pending] = [proposal for proposal, _ in proposals]
            accepted = np.array([accepted for _, accepted in proposals])
        else:
            one_minus[pending], accepted = _wood_proposal(q, np, k[pending], *noise)
        pending = pending[~accepted]
    raise InputError(f"sampling did not end for concentrations such as {k[pending[0]]}")


def _wood_proposal(q: int, library: ModuleType, k: Any, *noise: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """A proposal for 1 - cosine and whether it is accepted, where q = p - 1.

    With e = (1 + c) / 2 from Beta(q/2, q/2) and D = 1 - (1-b) e, the proposal is 2 b e / D. It is
    accepted with log-probability q (log(1 + d) - d), where d = (1-b) c / (2 D). The Beta variate is
    computed from one uniform number on a circle and from two elsewhere (Ulrich 1984).

    Args:
        q: the dimension of the sphere.
        library: `numpy` for arrays or `math` for numbers; small arrays take ten times as long.
        k: concentrations.
        noise: uniform numbers, for the Beta variate one on a circle and two elsewhere, then one
            for the acceptance.
    """
    around, *along, decision = noise
    root = library.sqrt(4 * k * k + q * q)
    total = 2 * k + root
    b, one_minus_b = q / total, (2 * k + 4 * k * k / (root + q)) / total
    c = library.cos(2 * math.pi * around)
    if along:
        c = c * library.sqrt(-library.expm1(2 / (q - 1) * library.log1p(-along[0])))
    b_twice_e = b * (1 + c)
    twice_denominator = (1 - c) + b_twice_e
    d = one_minus_b * c / twice_denominator
    accepted = library.log1p(-decision) <= q * (library.log1p(d) - d)
    return 2 * b_twice_e / twice_denominator, accepted


def _draw_power_spherical(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """(1 + cosine) / 2 has the distribution Beta((p-1)/2 + k, (p-1)/2), a ratio of Gammas."""
    half = (ambient - 1) / 2
    towards, away = rng.standard_gamma(k + half), rng.standard_gamma(half, k.shape)
    one_minus: Floats = 2 * away / (towards + away)
    return one_minus


def _draw_spherical_cauchy(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """From the cosine u of a uniform direction: (1 - u) / (1 + c (1 + u)), c = k / (p - 1).

    (1 + u) / 2 has the distribution Beta((p-1)/2, (p-1)/2), a ratio of Gammas.
    """
    half = (ambient - 1) / 2
    towards, away = rng.standard_gamma(half, (2, *k.shape))
    one_minus: Floats = 2 * away / (away + (1 + k / half) * towards)
    return one_minus


COSINE_SAMPLERS: dict[str, CosineSampler] = {
    "vmf": _draw_von_mises_fisher,
    "power-spherical": _draw_power_spherical,
    "spherical-cauchy": _draw_spherical_cauchy,
}
