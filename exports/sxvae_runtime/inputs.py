"""Checks of a caller's arguments; each raises an InputError that says what is wrong.

A graph runs one image in some tens of microseconds, so the checks have to be quick too. Images and
latent vectors therefore pass through one quick test each (`_is_in_unit_interval`,
`LatentCheck._passes`), and only what fails it is examined in detail.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sxvae_runtime.errors import InputError
from sxvae_runtime.factors import Factor, Layout
from sxvae_runtime.levels import MOST_LEVELS, scale_of

Seed = int | np.random.Generator | None

# How far a point of a sphere may be from norm 1.
_NORM_TOLERANCE = 1e-3

# How far floating-point pixels may be outside [0, 1], as roundings leave them; they are set to 0
# or 1. Numbers of 16 bits are rounded more.
ROUNDING, ROUNDING_OF_HALVES = 1e-6, 2**-7

# Up to this many numbers a loop in Python is quicker than NumPy.
_FEW = 64

# The bits of 1 as a float32.
_BITS_OF_ONE = 0x3F800000


def images(
    x: ArrayLike, input_shape: tuple[int, ...], levels: int | None = None
) -> NDArray[np.float32]:
    """Images (n, C, H, W) as float32 in [0, 1].

    Args:
        x: what the caller gave.
        input_shape: the model's (C, H, W).
        levels: of images that are whole numbers, where they are known.

    Raises:
        InputError: if the shape, the type or a value is wrong.
    """
    array = _array(x, "x")
    if array.shape[1:] != input_shape:
        expected = f"(n, {', '.join(map(str, input_shape))})"
        *_, height, width = input_shape
        channels_last = array.ndim == 4 and array.shape[1:] == (height, width, input_shape[0])
        advice = ": move the channels with np.moveaxis(x, -1, 1)" if channels_last else ""
        raise InputError(f"x has the shape {array.shape}; {expected} is needed{advice}")
    return unit_interval(array, "x", levels)


def unit_interval(array: NDArray[Any], name: str, levels: int | None = None) -> NDArray[np.float32]:
    """Pixels of any accepted type as contiguous float32 in [0, 1], of the same shape.

    Args:
        array: floating point in [0, 1]; bool, which becomes 0 and 1; or whole numbers, which are
            divided by their scale (see `levels.scale_of`).
        name: what messages call it.
        levels: of whole numbers, where they are known.

    Raises:
        InputError: if the type is another, a value is not finite or outside [0, 1], or the scale
            of whole numbers can't be told.
    """
    if array.dtype == np.float32 and array.flags.c_contiguous and _is_in_unit_interval(array):
        return array
    if array.dtype.kind in "iu":
        return array.astype(np.float32, order="C") / np.float32(scale_of(array, levels, name))
    rounding = ROUNDING_OF_HALVES if array.dtype.itemsize == 2 else ROUNDING
    array = _floats(array, name, "floating point, whole numbers or bool")
    least, largest = (array.min(), array.max()) if array.size else (0, 1)
    if least < -rounding or largest > 1 + rounding:
        raise InputError(
            f"{name} holds values from {least:.8g} to {largest:.8g}; they must lie in [0, 1]: "
            "divide by the value that stands for 1"
        )
    return array if least >= 0 and largest <= 1 else array.clip(0, 1)


class LatentCheck:
    """Checks latent vectors of one space."""

    def __init__(self, layout: Layout) -> None:
        self._ambient = layout.ambient
        self._factors = layout.factors
        self._offsets = np.array([factor.offset for factor in layout.factors])
        # Between which a factor's norm lies; a Euclidean one's need only be finite.
        on_sphere = (1 - _NORM_TOLERANCE, 1 + _NORM_TOLERANCE)
        finite = (0.0, math.sqrt(np.finfo(np.float32).max))
        bounds = [on_sphere if factor.is_sphere else finite for factor in layout.factors]
        self._least_squares, self._most_squares = np.square(bounds, dtype=np.float32).T
        slices = [factor.slice for factor in layout.factors]
        self._bounds = [(part, *bound) for part, bound in zip(slices, bounds, strict=True)]

    def __call__(self, z: ArrayLike, name: str, ndim: int) -> NDArray[np.float32]:
        """Latent vectors (..., ambient), of `ndim` axes, on their spheres.

        Raises:
            InputError: if the shape, the type or a norm is wrong.
        """
        array = _array(z, name)
        if array.ndim != ndim or array.shape[-1] != self._ambient:
            expected = f"(n, {self._ambient})" if ndim == 2 else f"({self._ambient},)"
            raise InputError(f"{name} has the shape {array.shape}; {expected} is needed")
        if array.dtype == np.float32 and array.flags.c_contiguous and self._passes(array):
            return array
        array = _floats(array, name)
        self._refuse_off_spheres(array, name)
        return array

    def _passes(self, array: NDArray[np.float32]) -> bool:
        """Whether every factor's norm is within its bounds, which NaN is not."""
        if array.size <= _FEW:
            return self._few_pass(array.reshape(-1, self._ambient).tolist())
        squares = np.add.reduceat(array * array, self._offsets, axis=-1)
        passed = (squares >= self._least_squares) & (squares <= self._most_squares)
        return bool(np.count_nonzero(passed) == passed.size)

    def _few_pass(self, rows: list[list[float]]) -> bool:
        for row in rows:
            for part, least, most in self._bounds:
                if not least <= math.hypot(*row[part]) <= most:
                    return False
        return True

    def _refuse_off_spheres(self, array: NDArray[np.float32], name: str) -> None:
        for index, factor in enumerate(self._factors):
            if not factor.is_sphere:
                continue
            norms = np.linalg.norm(array[..., factor.slice], axis=-1)
            off = np.abs(norms - 1)
            if off.size and off.max() > _NORM_TOLERANCE:
                worst = float(np.atleast_1d(norms)[np.argmax(off)])
                raise InputError(
                    f"{name} has norm {worst:.4g} in factor {index} ({factor.name}); points of a "
                    "sphere have norm 1: divide each sphere's coordinates by their norm"
                )


def parameters(value: ArrayLike, name: str, shape: tuple[int, int]) -> NDArray[Any]:
    """A posterior's concentrations or scales, shape (n, width).

    Raises:
        InputError: if the shape is another, or a value is no finite number.
    """
    array = _array(value, name)
    if array.shape != shape:
        raise InputError(f"{name} has the shape {array.shape}; {shape} is needed")
    # The kinds of numbers: signed and unsigned whole ones, floating point, complex.
    if array.dtype.kind not in "iufc" or np.count_nonzero(np.isfinite(array)) < array.size:
        raise InputError(f"every {name} must be a finite number")
    return array


def normal_scale(part: NDArray[Any], index: int, factor: Factor) -> NDArray[Any]:
    """A normal factor's own scales, shape (n, scales).

    Raises:
        InputError: if a standard deviation is not above 0, or a Cholesky factor is none.
    """
    where = f"factor {index} ({factor.name})"
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


def checked_levels(levels: int) -> int:
    """A number of levels.

    Raises:
        InputError: if it is no whole number from 2 to 65,536.
    """
    at_least(2, levels, "levels")
    if levels > MOST_LEVELS:
        raise InputError(f"levels must be at most {MOST_LEVELS}, not {levels}")
    return int(levels)


def at_least(least: int, count: int, name: str) -> None:
    """Refuse a count that is no whole number or too small.

    Raises:
        InputError: saying so.
    """
    if not _is_whole(count) or count < least:
        raise InputError(f"{name} must be a whole number of at least {least}, not {count!r}")


def index(value: int, count: int, name: str, where: str) -> None:
    """Refuse what is not the index of one of `count` entries.

    Raises:
        InputError: saying so.
    """
    if not _is_whole(value) or not 0 <= value < count:
        raise InputError(
            f"{name} must be a whole number from 0 to {count - 1}, its index {where}, not {value!r}"
        )


def _is_whole(value: object) -> bool:
    """Whether a value is a whole number; True and False are answers, and NumPy refuses them."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def generator(seed: Seed) -> np.random.Generator:
    """A generator from a seed; a Generator is used as it is, None takes a fresh random seed.

    Raises:
        InputError: if the seed is none of these.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"seed must be a whole number of at least 0, a Generator or None, not {seed!r}"
        ) from error


def _is_in_unit_interval(array: NDArray[np.float32]) -> bool:
    """Whether all values are from 0 to 1, in one pass over their bits.

    Read as unsigned integers, the bits of the floats from 0 to 1 are ordered as the floats are, and
    those of NaN and of all negative numbers are larger. So -0 does not pass, nor does an array
    without entries.
    """
    if array.size == 0:
        return False
    bits = array.view(np.uint32)
    # argmax is a few microseconds quicker than max on small arrays.
    return bits.item(bits.argmax()) <= _BITS_OF_ONE


def _floats(array: NDArray[Any], name: str, kinds: str = "numbers") -> NDArray[np.float32]:
    # bfloat16 and its like are types of other packages, without a kind of their own.
    if array.dtype.kind not in "fiub" and "float" not in array.dtype.name:
        raise InputError(f"{name} has the type {array.dtype}; {kinds} are needed")
    # A value that is too large for float32 becomes infinite, and is refused.
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite")
    return values


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    if type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise InputError(f"{name} has masked values: fill them, for example with x.filled(0)")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is no array: its rows differ in shape") from error
    except (TypeError, RuntimeError) as error:  # a tensor on a GPU, or one with gradients
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"NumPy can't make an array of {name} ({reason})") from error
