"""Pixels that are whole numbers: which value stands for 1 is said, plausible, or asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import InputError
from sxvae_runtime.levels import DATA_SET, FEW_IMAGES, Question, scale_of


@pytest.mark.parametrize(
    ("largest", "dtype", "levels", "question", "expected"),
    [
        (255, "uint8", None, DATA_SET, 255),
        (128, "uint8", None, DATA_SET, 255),
        (17, "uint8", None, FEW_IMAGES, 255),
        (0, "uint8", None, DATA_SET, 255),
        (65_535, "uint16", None, DATA_SET, 65_535),
        (4_500, ">u2", None, FEW_IMAGES, 65_535),
        (16, "uint8", 17, DATA_SET, 16),
        (3, "uint8", 256, DATA_SET, 255),
        (4_000, "int32", 4_096, DATA_SET, 4_095),
        (1, "int64", None, DATA_SET, 1),
        (1, "uint32", None, FEW_IMAGES, 1),
    ],
)
def test_a_scale_that_is_said_or_plausible(
    largest: int, dtype: str, levels: int | None, question: Question, expected: int
) -> None:
    assert scale_of(np.array([0, largest], dtype), levels, "x", question) == expected


@pytest.mark.parametrize(
    ("values", "dtype", "levels", "question", "sentence"),
    [
        ([0, 1], "uint8", None, DATA_SET, "up to 1, .* store masks of 0 and 1 as bool, or say --l"),
        ([0, 16], "uint8", None, DATA_SET, r"up to 16, .*\(--levels 17 for 0 to 16\)"),
        ([0, 127], "uint8", None, DATA_SET, "--levels 256 if the images are that dark"),
        ([0, 16], "uint8", None, FEW_IMAGES, r"x is uint8 .*\(levels=17 for 0 to 16\)"),
        ([0, 4_000], "uint16", None, DATA_SET, r"65535 does not .*\(--levels 4096 for 0 to 4095\)"),
        ([0, 4_095], "uint16", None, FEW_IMAGES, "levels=4096"),
        ([0, 255], "int64", None, FEW_IMAGES, "not known which stands for 1: .*levels=256"),
        ([0, 2**63], "uint64", None, FEW_IMAGES, "not known .*: divide by the value that does"),
        ([-1, 1], "int8", None, FEW_IMAGES, "negative values, the least of them -1"),
        ([0, 255], "uint8", 17, FEW_IMAGES, "up to 255, and of 17 levels 16 is the last"),
        ([0, 255], "uint8", 4_096, FEW_IMAGES, "uint8, which can't hold 4096 levels"),
    ],
)
def test_a_doubtful_scale_is_asked_for(
    values: list[int], dtype: str, levels: int | None, question: Question, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        scale_of(np.array(values, dtype), levels, "x", question)


def _mask(app: sxvae_runtime.Bundle) -> np.ndarray:
    return np.random.default_rng(0).random((3, *app.input_shape)) < 0.3


def test_zeros_and_ones_of_any_type_are_floats_of_these_values(app: sxvae_runtime.Bundle) -> None:
    mask = _mask(app)
    expected = app.encode(mask.astype(np.float32)).mean_direction
    for same in (
        *(mask.astype(dtype) for dtype in ("bool", "int64", "int8", "float16", "f8", ">i4")),
        *(mask.astype(int).tolist(), mask.tolist(), mask.astype(np.uint8).astype(object).tolist()),
    ):
        np.testing.assert_array_equal(app.encode(same).mean_direction, expected)
    z = np.zeros((1, app.ambient))
    z[:, [factor.offset for factor in app.factors]] = 1
    np.testing.assert_array_equal(app.decode(z.astype(int).tolist()), app.decode(z))


def test_masks_in_bytes_are_asked_about(app: sxvae_runtime.Bundle) -> None:
    mask = _mask(app)
    for method in (app.encode, app.reconstruct):
        with pytest.raises(InputError, match="255 does not seem to stand for 1: store masks"):
            method(mask.astype(np.uint8))
        method(255 * mask.astype(np.uint8))
        method(np.zeros((1, *app.input_shape), np.uint8))
        with pytest.raises(InputError, match="levels must be a whole number of at least 2, not 1"):
            method(mask, levels=1)
    expected = app.encode(mask).mean_direction
    found = app.encode(mask.astype(np.uint8), levels=2).mean_direction
    np.testing.assert_array_equal(found, expected)


def test_levels_of_the_call_of_loading_and_of_the_manifest(copy: Path, rewrite: Any) -> None:
    grey = np.random.default_rng(0).integers(0, 17, (3, 1, 8, 8), np.uint8)
    grey[0, 0, 0, 0] = 16
    loaded = sxvae_runtime.load(copy, levels=17)
    expected = loaded.encode(grey / 16).mean_direction
    np.testing.assert_allclose(loaded.encode(grey).mean_direction, expected, atol=1e-6)
    rewrite(copy, lambda content: content.update(levels=17))
    trained = sxvae_runtime.load(copy)
    assert trained.manifest.levels == 17
    np.testing.assert_allclose(trained.encode(grey).mean_direction, expected, atol=1e-6)
    bright = grey * np.uint8(15)
    with pytest.raises(InputError, match="up to 240, and of 17 levels 16 is the last"):
        trained.encode(bright)
    expected = loaded.encode(bright / 255).mean_direction
    found = trained.encode(bright, levels=256).mean_direction
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for wrong in (1, 2.5, True, "17", 65_537):
        rewrite(copy, lambda content, wrong=wrong: content.update(levels=wrong))
        with pytest.raises(sxvae_runtime.BundleError, match=r"manifest\.json"):
            sxvae_runtime.load(copy)


def test_roundings_beyond_the_ends_are_the_ends(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    whole = np.where(x > 0.5, 1.0, 0.0)
    expected = app.encode(whole).mean_direction
    single = np.where(x > 0.5, np.nextafter(np.float32(1), np.float32(2)), np.float32(-1e-7))
    half = np.where(x > 0.5, np.nextafter(np.float16(1), np.float16(2)), np.float16(0))
    for rounded in (single, single.astype(np.float64), half):
        assert rounded.max() > 1
        np.testing.assert_array_equal(app.encode(rounded).mean_direction, expected)
    with pytest.raises(InputError, match=r"from 0 to 1\.00001; they must lie in \[0, 1\]"):
        app.encode(whole * 1.00001)


def test_what_numpy_cannot_take_is_refused_in_a_sentence(app: sxvae_runtime.Bundle) -> None:
    x = _mask(app).astype(np.float32)
    with pytest.raises(InputError, match="masked values: fill them"):
        app.encode(np.ma.masked_less(x, 0.5))
    app.encode(np.ma.masked_less(x, -1))  # nothing is masked

    class OnAnotherDevice:
        def __array__(self, *_: Any) -> np.ndarray:
            raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu()")

    with pytest.raises(InputError, match=r"can't make an array of x \(can't convert cuda:0"):
        app.encode(OnAnotherDevice())
    with pytest.raises(InputError, match=r"needed: move the channels with np\.moveaxis"):
        app.encode(np.moveaxis(x, 1, -1))
