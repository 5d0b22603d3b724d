"""Labels as people have them: whole numbers, a column, one-hot rows, or text."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError

# Floating point holds every whole number up to here.
_MOST_EXACT = 2.0**53
_KINDS_OF_NUMBERS = "iufb"


class Labels(NamedTuple):
    """The class of each image.

    Attributes:
        values: int64, shape (n,).
        class_names: what the classes 0, 1, 2, ... are called, in the order of the alphabet; None if
            the labels were numbers.
    """

    values: NDArray[np.int64]
    class_names: tuple[str, ...] | None


def read_labels(y: NDArray[Any], n: int, name: str) -> Labels:
    """Take an array as one label for each of `n` images.

    Args:
        y: integers, floating point with whole numbers, or text, shape (n,) or (n, 1); or one-hot,
            shape (n, classes). Text that is a whole number everywhere is taken as numbers.
        n: the number of images.
        name: what messages call the labels.

    Raises:
        DataError: if they are something else, are masked, or do not fit 64 bits.
    """
    if isinstance(y, np.ma.MaskedArray):
        if y.mask.any():
            raise DataError(f"{name} have masked values: give every image a label")
        y = y.data
    if y.ndim == 2 and len(y) == n and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and len(y) == n and _is_one_hot(y):
        y = y.argmax(axis=1)
    if y.shape != (n,):
        raise DataError(
            f"{name} have the shape {y.shape}: one label for each of the {n} images is needed, of "
            "shape (n,), (n, 1) or one-hot"
        )
    if y.dtype.kind in "USTO":
        return _of_text(y, name)
    if y.dtype.kind not in _KINDS_OF_NUMBERS:
        raise DataError(f"{name} are of type {y.dtype}: whole numbers or text are needed")
    return Labels(_whole(y, name), None)


def _is_one_hot(y: NDArray[Any]) -> bool:
    if y.dtype.kind not in _KINDS_OF_NUMBERS or y.size == 0:
        return False
    return bool(((y == 0) | (y == 1)).all() and ((y == 1).sum(axis=1) == 1).all())


def _whole(y: NDArray[Any], name: str) -> NDArray[np.int64]:
    if y.dtype.kind == "f":
        # Floating point of 16 bits does not reach `_MOST_EXACT`, and would warn.
        wide = y.astype(np.promote_types(y.dtype, np.float64), copy=False)
        fine = np.isfinite(wide) & (np.abs(wide) <= _MOST_EXACT) & (wide == np.floor(wide))
        if not fine.all():
            raise DataError(
                f"{name} hold {y[~fine][0]!s}, which is no class: whole numbers or text are needed"
            )
    elif y.size and int(y.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{name} hold {y.max()}, which is too large for an integer of 64 bits")
    return y.astype(np.int64)


def _of_text(y: NDArray[Any], name: str) -> Labels:
    # Bytes that are no text stay different from each other.
    texts = [
        each.decode(errors="backslashreplace") if isinstance(each, bytes) else each for each in y
    ]
    strange = [each for each in texts if not isinstance(each, str)]
    if strange:
        raise DataError(
            f"{name} hold {strange[0]!r} of type {type(strange[0]).__name__}: whole numbers or "
            "text are needed"
        )
    if texts and all(text.strip().removeprefix("-").isdecimal() for text in texts):
        try:
            return Labels(np.array([int(text) for text in texts], dtype=np.int64), None)
        except (OverflowError, ValueError):
            pass  # names that happen to be made of many digits
    names, values = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return Labels(values.reshape(-1).astype(np.int64), tuple(map(str, names)))
