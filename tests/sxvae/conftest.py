"""What the tests of training share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sxvae import (
    ImageData,
    ProductSpace,
    ProductSpaceVAE,
    RunSettings,
    Split,
    TrainingSettings,
    load_data,
)
from sxvae.training.fit import initial_model

Untrained = Callable[..., ProductSpaceVAE]


@pytest.fixture(scope="session")
def few_digits() -> ImageData:
    """The first 120 / 60 / 60 digits of each split: three steps of 40 an epoch."""
    whole = load_data("digits")

    def first(split: Split, count: int) -> Split:
        return Split(split.pixels[:count], split.scale)

    return ImageData(
        first(whole.train, 120), first(whole.validation, 60), first(whole.test, 60), whole.settings
    )


@pytest.fixture(scope="session")
def untrained(few_digits: ImageData) -> Untrained:
    """A small model for `few_digits` with the weights that a seed gives."""

    def build(seed: int = 0) -> ProductSpaceVAE:
        model = ProductSpaceVAE(ProductSpace.parse("4,2"), few_digits.image_shape, (16,))
        settings = RunSettings(
            model=model.settings, data=few_digits.settings, training=TrainingSettings(seed=seed)
        )
        return initial_model(settings)

    return build
