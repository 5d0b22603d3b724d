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
    labels = torch.from_numpy(bunch.target)

    def part(start: int, stop: int | None) -> Split:
        return Split(pixels[start:stop], 16.0, labels[start:stop])

    after_validation = _TRAIN + _VALIDATION
    return ImageData(
        part(0, _TRAIN), part(_TRAIN, after_validation), part(after_validation, None), settings
    )
