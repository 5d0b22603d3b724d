"""The 1,797 handwritten digits that scikit-learn carries: 8x8, 17 grey levels, works offline."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split

_TRAIN, _VALIDATION = 1_297, 250


def load_digits(settings: DataSettings) -> ImageData:
    """Load them, split 1,297 / 250 / 250 in scikit-learn's order."""
    table = _table()
    pixels = torch.from_numpy(table[:, :-1]).to(torch.uint8).reshape(-1, 1, 8, 8)
    whole = Split(pixels, 16.0, torch.from_numpy(table[:, -1]).to(torch.int64))
    after_validation = _TRAIN + _VALIDATION
    parts = (slice(_TRAIN), slice(_TRAIN, after_validation), slice(after_validation, None))
    train, validation, test = (whole.subset(part) for part in parts)
    return ImageData(train, validation, test, settings)


def _table() -> NDArray[Any]:
    """A row a digit: 64 pixels, then its label.

    Importing scikit-learn takes longer than all else that comes before the first epoch, so that its
    file is read where its releases have had it so far, and scikit-learn asked only if it moved.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found.submodule_search_locations or []) if found else []:
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits as load

    bunch = load()
    return np.column_stack([bunch.data, bunch.target])
