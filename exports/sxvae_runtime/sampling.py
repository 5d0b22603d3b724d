"""Sampling on hyperspheres and Euclidean spaces with NumPy, exact in every dimension."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.errors import InputError

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100
# So many proposals, or numbers, are quicker made one by one than as arrays.
_FEW, _FEW_NUMBERS = 8, 64

Floats = NDArray[np.float64]


def uniform_directions(shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Unit vectors, uniform on the sphere: `shape` with the ambient axis last."""
    around = _directions(shape, rng)
    unit: Floats = around / np.sqrt(_sums(around * around))
    return unit


def sample(
    family: str, loc: NDArray[Any], concentration: NDArray[Any], rng: np.random.Generator
) -> Floats:
    """One sample for each concentration.

    Args:
        family: one of `SPHERICAL_FAMILIES`.
        loc: unit vectors, p >= 2, shape (..., p); further axes of `concentration` before its own
            repeat them.
        concentration: k >= 0, shape (...).
        rng: where the chance comes from.

    Returns:
        Unit vectors, shape (..., p).

    Raises:
        InputError: if a concentration is negative or not finite.
    """
    k = np.asarray(concentration, dtype=np.float64)
    # argmin and argmax find NaN first, and take less time to start than min and max.
    if k.size and not (k.item(k.argmin()) >= 0 and k.item(k.argmax()) < np.inf):
        raise InputError("every concentration must be finite and at least 0")
    mu = np.asarray(loc, dtype=np.float64)
    ambient = mu.shape[-1]
    gaps = _GAPS[family](k.reshape(-1), ambient, rng)
    around = _directions((*k.shape, ambient - 1), rng)
    if around.size <= _FEW_NUMBERS:
        return _placed_one_by_one(mu, gaps, around)
    gap = gaps.reshape(k.shape)[..., None]
    unit = around / np.sqrt(_sums(around * around))
    return (1 - gap) * mu + np.sqrt(gap * (2 - gap)) * _carry_to_tangent(mu, unit)


def sample_normal(
    loc: NDArray[Any],
    scale: NDArray[Any],
    covariance: str,
    samples: int,
    rng: np.random.Generator,
) -> Floats:
    """Samples of normal distributions on R^m.

    Args:
        loc: means, shape (n, m).
        scale: positive standard deviations, shape (n, 1) for "single" and (n, m) for "diagonal"
            covariance; the rows of lower-triangular Cholesky factors, shape (n, m * m), for "full".
        covariance: "single", "diagonal" or "full".
        samples: how many of each.
        rng: where the chance comes from.

    Returns:
        Shape (samples, n, m).
    """
    n, dim = loc.shape
    noise: Floats = rng.standard_normal((samples, n, dim))
    if covariance == "full":
        scaled: Floats = np.einsum("nij,snj->sni", scale.reshape(n, dim, dim), noise)
    else:
        scaled = scale * noise
    return loc + scaled


def _sums(terms: Floats) -> Floats:
    """Sums over the last axis, which stays; `np.sum` takes twice the time where there are few."""
    sums: Floats = np.add.reduce(terms, axis=-1, keepdims=True)
    return sums


def _directions(shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Like `uniform_directions`, of any norm."""
    if shape[-1] == 1:
        signs: Floats = rng.choice(np.array([-1.0, 1.0]), tuple(shape))
        return signs
    return rng.standard_normal(tuple(shape))


def _placed_one_by_one(loc: Floats, gaps: Floats, around: Floats) -> Floats:
    """What `sample` does with arrays, in Python's own numbers: a few take a third of the time."""
    ambient = loc.shape[-1]
    locs, directions = loc.reshape(-1, ambient).tolist(), around.reshape(-1, ambient - 1).tolist()
    placed = [
        _placed(mu, gap, direction)
        for mu, gap, direction in zip(itertools.cycle(locs), gaps.tolist(), directions)
    ]
    return np.array(placed, dtype=np.float64).reshape(*around.shape[:-1], ambient)


def _placed(loc: list[float], gap: float, around: list[float]) -> list[float]:
    """The unit vector with the gap to `loc` whose way there starts `around` at the nearer pole."""
    norm = math.hypot(*around)
    unit = [coordinate / norm for coordinate in around]
    first, *rest = loc
    inner = sum(map(operator.mul, rest, unit))
    shift = inner / (1 + abs(first))
    tangent = [
        -inner if first >= 0 else inner,
        *(coordinate - shift * other for coordinate, other in zip(unit, rest, strict=True)),
    ]
    towards, across = 1 - gap, math.sqrt(gap * (2 - gap))
    return [towards * mu + across * other for mu, other in zip(loc, tangent, strict=True)]


def _carry_to_tangent(loc: Floats, vector: Floats) -> Floats:
    """Carry tangent vectors at the nearer pole to `loc`, by the rotation between the two."""
    first, rest = loc[..., :1], loc[..., 1:]
    inner = _sums(rest * vector)
    along = np.where(first >= 0, -inner, inner)
    return np.concatenate([along, vector - inner / (1 + np.abs(first)) * rest], axis=-1)


def _von_mises_fisher_gaps(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """1 - <loc, sample> for each k, by Wood's rejection (1994); only rejected ones are redrawn."""
    q = ambient - 1
    gaps = np.empty_like(k)
    pending = np.arange(k.size)
    for _ in range(_MAX_ROUNDS):
        if pending.size == 0:
            return gaps
        noise = rng.random((3 if q > 1 else 2, pending.size))
        if pending.size <= _FEW:
            columns = zip(k[pending].tolist(), *noise.tolist(), strict=True)
            proposals = [_wood_proposal(q, math, *column) for column in columns]
            gaps[pending] = [gap for gap, _ in proposals]
            accepted = np.array([accepted for _, accepted in proposals])
        else:
            gaps[pending], accepted = _wood_proposal(q, np, k[pending], *noise)
        pending = pending[~accepted]
    raise InputError(f"sampling did not end for concentrations such as {k[pending[0]]}")


def _wood_proposal(q: int, library: ModuleType, k: Any, *noise: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """A proposal for 1 - <loc, sample> and whether it is accepted, q = p - 1.

    With e = (1 + c) / 2 from Beta(q/2, q/2) and D = 1 - (1-b) e the gap is 2 b e / D, accepted with
    log-probability q (log(1 + d) - d), d = (1-b) c / (2 D). The variate comes from one uniform
    number on a circle and from two elsewhere (Ulrich 1984); another one decides.

    Args:
        q: the dimension of the sphere.
        library: `numpy` for arrays, `math` for numbers: arrays of a few take ten times as long.
        k: concentrations.
        noise: the uniform numbers, two on a circle and three elsewhere.
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


def _power_spherical_gaps(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """1 - <loc, sample> for each k: (1 + <loc, sample>) / 2 is Beta((p-1)/2 + k, (p-1)/2)."""
    half = (ambient - 1) / 2
    towards, away = rng.standard_gamma(k + half), rng.standard_gamma(half, k.shape)
    gaps: Floats = 2 * away / (towards + away)
    return gaps


_GAPS: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    "vmf": _von_mises_fisher_gaps,
    "power-spherical": _power_spherical_gaps,
}
