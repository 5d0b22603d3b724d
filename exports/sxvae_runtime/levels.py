"""Which value of whole-number pixels stands for 1: the one place that decides it.

Whole numbers do not say it themselves: 1 is 255 in a photograph, 16 in scikit-learn's digits, 4095
in a scan of 12 bits, and 1 in a mask. Where somebody said how many levels there are, it is the last
of them. Otherwise uint8 and uint16 are taken to use their whole range, but only where the images
are bright enough to make that plausible; numbers of other types are taken if they are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sxvae_runtime.errors import InputError

if TYPE_CHECKING:  # settings need the number below, and no NumPy
    import numpy as np
    from numpy.typing import NDArray

# More levels than a pixel of 16 bits has are not taken.
MOST_LEVELS = 65_536

# uint8 and uint16, which images use the whole range of.
_BYTES_OF_IMAGES = (1, 2)


class DoubtfulScaleError(InputError):
    """Values that do not look as if the largest of their type stood for 1."""


class Question(NamedTuple):
    """When and how it is asked which value stands for 1.

    Attributes:
        doubted_below: without levels, images are doubted whose largest value is below this share of
            the largest of their type, unless it is 0.
        spelled: how the caller says a number of levels.
    """

    doubted_below: float
    spelled: Callable[[int], str]


# A single image may be dark, so an application is asked only about values of at most 16 in 255.
FEW_IMAGES = Question(1 / 15.5, lambda levels: f"levels={levels}")
# A whole data set has a bright pixel somewhere.
DATA_SET = Question(1 / 2, lambda levels: f"--levels {levels}")


def scale_of(
    pixels: NDArray[Any], levels: int | None, name: str, question: Question = FEW_IMAGES
) -> int:
    """The value that stands for 1 in pixels that are whole numbers.

    Args:
        pixels: of any shape and any type of integers.
        levels: how many levels there are, from 0 to `levels` - 1, if somebody said so.
        name: what messages call the pixels, as a singular: "x", "the array of images in a.npy".
        question: when and how to ask.

    Raises:
        InputError: if a value is outside the scale, or the scale can't be told, a
            DoubtfulScaleError if it would have been the largest of the type; the sentence says what
            was found and what to do.
    """
    # item and argmax are microseconds quicker than max on a single image.
    largest = pixels.item(pixels.argmax()) if pixels.size else 0
    unsigned = pixels.dtype.kind == "u"
    if not unsigned and pixels.size and pixels.min() < 0:
        raise InputError(f"{name} holds negative values, the least of them {pixels.min()}")
    if levels is not None:
        return _stated(pixels.dtype, largest, levels, name, question)
    if unsigned and pixels.dtype.itemsize in _BYTES_OF_IMAGES:
        whole = _largest_of(pixels.dtype)
        if 0 < largest < whole * question.doubted_below:
            raise DoubtfulScaleError(
                f"{name} is {pixels.dtype} with values up to {largest}, so that {whole} does not "
                f"seem to stand for 1: {_advice(largest, question)}, or "
                f"{question.spelled(whole + 1)} if the images are that dark"
            )
        return whole
    if largest > 1:
        raise InputError(
            f"{name} is {pixels.dtype} with values up to {largest}, and it is not known which "
            f"stands for 1: {_advice(largest, question)}"
        )
    return 1


def _stated(dtype: np.dtype[Any], largest: int, levels: int, name: str, question: Question) -> int:
    if largest >= levels:
        raise InputError(
            f"{name} holds values up to {largest}, and of {levels} levels {levels - 1} is the "
            f"last: {_advice(largest, question)}"
        )
    if levels - 1 > _largest_of(dtype):
        raise InputError(
            f"{name} is {dtype}, which can't hold {levels} levels: divide by the value that stands "
            f"for 1, or say {question.spelled(_largest_of(dtype) + 1)}"
        )
    return levels - 1


def _largest_of(dtype: np.dtype[Any]) -> int:
    """The largest number of a type of integers."""
    bits = 8 * dtype.itemsize - int(dtype.kind == "i")
    return int(2**bits) - 1


def _advice(largest: int, question: Question) -> str:
    if largest >= MOST_LEVELS:
        return "divide by the value that does"
    spelled = question.spelled(_suggested(largest))
    if largest == 1:
        return f"store masks of 0 and 1 as bool, or say {spelled}"
    return f"say how many levels there are ({spelled} for 0 to {_suggested(largest) - 1})"


def _suggested(largest: int) -> int:
    """The number of levels that a largest value suggests; many levels are a power of two."""
    return largest + 1 if largest < 128 else 1 << largest.bit_length()
