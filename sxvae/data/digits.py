"""The 1,797 handwritten digits that scikit-learn carries: 8x8, 17 grey levels, works offline."""

from __future__ import annotations

import torch

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split

_TRAIN, _VALIDATION = 1_297, 250


def load_digits(settings: DataSettings) -> ImageData:
    """Load them, split 1,297 / 250 / 250 in scikit-learn's order."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    pixels = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    whole = Split(pixels, 16.0, torch.from_numpy(bunch.target))
    after_validation = _TRAIN + _VALIDATION
    parts = (slice(_TRAIN), slice(_TRAIN, after_validation), slice(after_validation, None))
    train, validation, test = (whole.subset(part) for part in parts)
    return ImageData(train, validation, test, settings)
