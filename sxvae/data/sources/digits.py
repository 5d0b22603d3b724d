"""The 1,797 handwritten digits that come with scikit-learn: 8x8, 17 grey levels, no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split

DIGITS_LEVELS = 17

_TRAIN, _VALIDATION = 1_297, 250


def load_digits(settings: DataSettings) -> ImageData:
    """Load the digits, split 1,297 / 250 / 250 in scikit-learn's order."""
    table = _table()
    pixels = torch.from_numpy(table[:, :-1]).to(torch.uint8).reshape(-1, 1, 8, 8)
    whole = Split(pixels, DIGITS_LEVELS - 1, torch.from_numpy(table[:, -1]).to(torch.int64))
    after_validation = _TRAIN + _VALIDATION
    parts = (slice(_TRAIN), slice(_TRAIN, after_validation), slice(after_validation, None))
    train, validation, test = (whole.subset(part) for part in parts)
    return ImageData(train, validation, test, settings)


def _table() -> NDArray[Any]:
    """A row for each digit: 64 pixels, then the label.

    Importing scikit-learn takes longer than everything else before the first epoch. So its file is
    read directly, and scikit-learn is imported only if the file is not where it used to be.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits as load

    bunch = load()
    return np.column_stack([bunch.data, bunch.target])
