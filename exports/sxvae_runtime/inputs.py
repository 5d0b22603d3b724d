"""Checks of what a caller hands over, each failing with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sxvae_runtime.errors import InputError
from sxvae_runtime.manifest import Factor, Manifest

Seed = int | np.random.Generator | None

# How far a point of a sphere may be from norm 1.
_NORM_TOLERANCE = 1e-3


def images(x: ArrayLike, input_shape: Sequence[int]) -> NDArray[np.float32]:
    """Images (n, C, H, W) as float32 in [0, 1].

    Raises:
        InputError: if the shape, the type or a value is wrong.
    """
    array = _array(x, "x")
    expected = f"(n, {', '.join(map(str, input_shape))})"
    if array.ndim != 4 or array.shape[1:] != tuple(input_shape):
        raise InputError(f"x has the shape {array.shape}; {expected} is needed")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    array = _floats(array, "x")
    if array.size and (array.min() < 0 or array.max() > 1):
        raise InputError(
            f"x holds values from {array.min():g} to {array.max():g}; they must lie in [0, 1] "
            "(or be uint8, which is divided by 255)"
        )
    return array


def latent(z: ArrayLike, name: str, ndim: int, manifest: Manifest) -> NDArray[np.float32]:
    """Latent vectors (..., ambient), of `ndim` axes, on their spheres.

    Raises:
        InputError: if the shape, the type or a norm is wrong.
    """
    array = _array(z, name)
    if array.ndim != ndim or array.shape[-1] != manifest.ambient:
        expected = f"(n, {manifest.ambient})" if ndim == 2 else f"({manifest.ambient},)"
        raise InputError(f"{name} has the shape {array.shape}; {expected} is needed")
    array = _floats(array, name)
    for place in manifest.spheres:
        factor = manifest.factors[place]
        norms = np.linalg.norm(array[..., factor.slice], axis=-1)
        off = np.abs(norms - 1)
        if off.size and off.max() > _NORM_TOLERANCE:
            worst = float(np.atleast_1d(norms)[np.argmax(off)])
            raise InputError(
                f"{name} has norm {worst:.4g} in factor {place} ({factor.name}); points of a "
                "sphere have norm 1: divide each sphere's coordinates by their norm"
            )
    return array


def parameters(value: ArrayLike, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    """A posterior's concentrations or scales, shape (n, width).

    Raises:
        InputError: if the shape is another, or a value is no finite number.
    """
    array = _array(value, name)
    if array.shape != shape:
        raise InputError(f"{name} has the shape {array.shape}; {shape} is needed")
    if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
        raise InputError(f"every {name} must be a finite number")
    return array


def normal_scale(part: NDArray[Any], place: int, factor: Factor) -> NDArray[Any]:
    """A normal factor's own scales, shape (n, scales).

    Raises:
        InputError: if a standard deviation is not above 0, or a Cholesky factor is none.
    """
    where = f"factor {place} ({factor.name})"
    if factor.covariance != "full":
        if (part <= 0).any():
            raise InputError(f"scale: every standard deviation of {where} must be above 0")
        return part
    rows = part.reshape(-1, factor.dim, factor.dim)
    if (np.diagonal(rows, axis1=1, axis2=2) <= 0).any():
        raise InputError(f"scale: the Cholesky factor of {where} must have a diagonal above 0")
    if np.triu(rows, 1).any():
        raise InputError(
            f"scale: the Cholesky factor of {where} must be lower-triangular, row by row, and it "
            "has entries above its diagonal"
        )
    return part


def at_least(least: int, count: int, name: str) -> None:
    """Refuse a count that is no whole number or too small.

    Raises:
        InputError: saying so.
    """
    if not isinstance(count, int | np.integer) or count < least:
        raise InputError(f"{name} must be a whole number of at least {least}, not {count}")


def generator(seed: Seed) -> np.random.Generator:
    """A generator from a seed; a Generator is used as it is, None means fresh chance.

    Raises:
        InputError: if the seed is none of these.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"seed must be a whole number of at least 0, a Generator or None, not {seed!r}"
        ) from error


def _floats(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if not np.issubdtype(array.dtype, np.floating):
        kinds = "floating point or uint8" if name == "x" else "floating point"
        raise InputError(f"{name} has the type {array.dtype}; {kinds} is needed")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is no array: its rows differ in shape") from error
