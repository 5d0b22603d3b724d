"""The cosine of the angle between a sample and its mean direction."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Cosines(NamedTuple):
    """The cosines t = <loc, x> of samples x, as 1 - t and 1 + t.

    Together they keep all digits of t near 1 and near -1. Both are float64 and above 0; their sum
    is 2.
    """

    one_minus: Tensor
    one_plus: Tensor
