"""Sampling on hyperspheres and Euclidean spaces with NumPy, exact in every dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.errors import InputError

# The acceptance rate is at least 0.65, so 100 rounds all fail with probability below 1e-45.
_MAX_ROUNDS = 100

Floats = NDArray[np.float64]


def uniform_directions(shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Unit vectors, uniform on the sphere: `shape` with the ambient axis last."""
    if shape[-1] == 1:
        signs: Floats = rng.choice(np.array([-1.0, 1.0]), tuple(shape))
        return signs
    normal = rng.standard_normal(tuple(shape))
    unit: Floats = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return unit


def sample(
    family: str, loc: NDArray[Any], concentration: NDArray[Any], rng: np.random.Generator
) -> Floats:
    """One sample for each mean direction.

    Args:
        family: one of `SPHERICAL_FAMILIES`.
        loc: unit vectors, shape (..., p), p >= 2.
        concentration: k >= 0, shape (...).
        rng: where the chance comes from.

    Returns:
        Unit vectors, shape (..., p).

    Raises:
        InputError: if a concentration is negative or not finite.
    """
    k = np.asarray(concentration, dtype=np.float64)
    if not (np.isfinite(k).all() and (k >= 0).all()):
        raise InputError("every concentration must be finite and at least 0")
    mu = np.asarray(loc, dtype=np.float64)
    ambient = mu.shape[-1]
    gap = _GAPS[family](k.reshape(-1), ambient, rng).reshape(k.shape)[..., None]
    around = uniform_directions((*mu.shape[:-1], ambient - 1), rng)
    return (1 - gap) * mu + np.sqrt(gap * (2 - gap)) * _carry_to_tangent(mu, around)


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


def _carry_to_tangent(loc: Floats, vector: Floats) -> Floats:
    """Carry tangent vectors at the nearer pole to `loc`, by the rotation between the two."""
    first, rest = loc[..., :1], loc[..., 1:]
    inner = np.sum(rest * vector, axis=-1, keepdims=True)
    sign = np.where(first >= 0, 1.0, -1.0)
    return np.concatenate([-sign * inner, vector - inner / (1 + np.abs(first)) * rest], axis=-1)


def _von_mises_fisher_gaps(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    """1 - <loc, sample> for each k, by Wood's rejection (1994); only rejected ones are redrawn.

    With e from Beta((p-1)/2, (p-1)/2) and D = 1 - (1-b) e the gap is 2 b e / D, accepted with
    log-probability (p-1) (log(1 + d) - d), d = (1-b) (2e - 1) / (2 D).
    """
    q = ambient - 1
    root = np.sqrt(4 * k**2 + q**2)
    total = 2 * k + root
    b, one_minus_b = q / total, (2 * k + 4 * k**2 / (root + q)) / total
    gaps = np.empty_like(k)
    pending = np.arange(k.size)
    for _ in range(_MAX_ROUNDS):
        if pending.size == 0:
            return gaps
        e, co_e = _symmetric_beta(pending.size, ambient, rng)
        denominator = co_e + b[pending] * e
        d = one_minus_b[pending] * (e - co_e) / (2 * denominator)
        accepted = np.log1p(-rng.random(pending.size)) <= q * (np.log1p(d) - d)
        gaps[pending[accepted]] = (2 * b[pending] * e / denominator)[accepted]
        pending = pending[~accepted]
    raise InputError(f"sampling did not end for concentrations such as {k[pending[0]]}")


def _symmetric_beta(count: int, ambient: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Beta((p-1)/2, (p-1)/2) variates and their complements, from two uniforms (Ulrich 1984)."""
    cosine = np.cos(2 * np.pi * rng.random(count))
    if ambient > 2:
        cosine *= np.sqrt(-np.expm1(2 / (ambient - 2) * np.log1p(-rng.random(count))))
    return (1 + cosine) / 2, (1 - cosine) / 2


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
SPHERICAL_FAMILIES = tuple(_GAPS)
