"""Sampling on hyperspheres and Euclidean spaces with NumPy, exact in every dimension."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.cosines import COSINE_SAMPLERS, Floats
from sxvae_runtime.errors import InputError

# Up to this many coordinates are computed faster one by one than as arrays.
_FEW_NUMBERS = 64


def uniform_directions(shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Unit vectors, uniform on the sphere: `shape` with the ambient axis last."""
    directions = _directions(shape, rng)
    unit: Floats = directions / np.sqrt(_sums(directions * directions))
    return unit


def sample(
    family: str, loc: NDArray[Any], concentration: NDArray[Any], rng: np.random.Generator
) -> Floats:
    """Draw one sample for each concentration.

    Args:
        family: one of `families.SPHERICAL_FAMILIES`.
        loc: unit vectors, p >= 2, shape (..., p). They are repeated along the leading axes that
            `concentration` has and they have not.
        concentration: k >= 0, shape (...).
        rng: the random number generator.

    Returns:
        Unit vectors, shape (..., p).

    Raises:
        InputError: if a concentration is negative or not finite.
    """
    k = np.asarray(concentration, dtype=np.float64)
    # argmin and argmax return the index of a NaN if there is one, and have less overhead than min
    # and max.
    if k.size and not (k.item(k.argmin()) >= 0 and k.item(k.argmax()) < np.inf):
        raise InputError("every concentration must be finite and at least 0")
    mu = np.asarray(loc, dtype=np.float64)
    ambient = mu.shape[-1]
    flat_one_minus = COSINE_SAMPLERS[family](k.reshape(-1), ambient, rng)
    directions = _directions((*k.shape, ambient - 1), rng)
    if directions.size <= _FEW_NUMBERS:
        return _assemble_one_by_one(mu, flat_one_minus, directions)
    one_minus = flat_one_minus.reshape(k.shape)[..., None]
    cosine, sine = 1 - one_minus, np.sqrt(one_minus * (2 - one_minus))
    unit = directions / np.sqrt(_sums(directions * directions))
    return cosine * mu + sine * _carry_to_tangent(mu, unit)


def sample_normal(
    loc: NDArray[Any],
    scale: NDArray[Any],
    covariance: str,
    samples: int,
    rng: np.random.Generator,
) -> Floats:
    """Draw samples of normal distributions on R^m.

    Args:
        loc: means, shape (n, m).
        scale: positive standard deviations, shape (n, 1) for "single" and (n, m) for "diagonal"
            covariance; the rows of lower-triangular Cholesky factors, shape (n, m * m), for "full".
        covariance: "single", "diagonal" or "full".
        samples: how many of each.
        rng: the random number generator.

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
    """Sums over the last axis, which is kept; for small arrays `np.sum` takes twice the time."""
    sums: Floats = np.add.reduce(terms, axis=-1, keepdims=True)
    return sums


def _directions(shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Vectors of any norm in uniform directions, `shape` with the ambient axis last."""
    if shape[-1] == 1:
        signs: Floats = rng.choice(np.array([-1.0, 1.0]), tuple(shape))
        return signs
    return rng.standard_normal(tuple(shape))


def _assemble_one_by_one(loc: Floats, one_minus: Floats, directions: Floats) -> Floats:
    """The samples by Python's own numbers: for a few this takes a third of the arrays' time."""
    ambient = loc.shape[-1]
    locs = loc.reshape(-1, ambient).tolist()
    rows = zip(
        itertools.cycle(locs), one_minus.tolist(), directions.reshape(-1, ambient - 1).tolist()
    )
    samples = [_assemble(mu, value, direction) for mu, value, direction in rows]
    return np.array(samples, dtype=np.float64).reshape(*directions.shape[:-1], ambient)


def _assemble(loc: list[float], one_minus: float, direction: list[float]) -> list[float]:
    """The unit vector at the cosine from `loc`, in a direction of the tangent space at the pole.

    Args:
        loc: a unit vector.
        one_minus: 1 - cosine.
        direction: a vector of any norm, one entry shorter than `loc`; `_carry_to_tangent` says how
            it is carried to `loc`.
    """
    norm = math.hypot(*direction)
    unit = [coordinate / norm for coordinate in direction]
    first, *rest = loc
    inner = sum(map(operator.mul, rest, unit))
    shift = inner / (1 + abs(first))
    tangent = [
        -inner if first >= 0 else inner,
        *(coordinate - shift * other for coordinate, other in zip(unit, rest, strict=True)),
    ]
    cosine, sine = 1 - one_minus, math.sqrt(one_minus * (2 - one_minus))
    return [cosine * mu + sine * other for mu, other in zip(loc, tangent, strict=True)]


def _carry_to_tangent(loc: Floats, vector: Floats) -> Floats:
    """Carry tangent vectors at a pole to `loc`, by the rotation between the two.

    The pole is e_1 or -e_1, whichever is nearer to `loc`.
    """
    first, rest = loc[..., :1], loc[..., 1:]
    inner = _sums(rest * vector)
    along = np.where(first >= 0, -inner, inner)
    return np.concatenate([along, vector - inner / (1 + np.abs(first)) * rest], axis=-1)
