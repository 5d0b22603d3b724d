from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import InputError


def _norms(app: sxvae_runtime.Bundle, z: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(z[..., f.slice], axis=-1) for f in app.factors], axis=-1)


def test_encode_and_decode(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    q = app.encode(x)
    assert q.mean_direction.shape == (5, 13)
    assert q.concentration.shape == (5, 3)
    assert q.scale is None
    np.testing.assert_allclose(_norms(app, q.mean_direction), 1, atol=1e-6)
    mean = app.decode(q.mean_direction)
    assert mean.shape == (5, 1, 8, 8)
    assert mean.dtype == np.float32
    assert ((mean > 0) & (mean < 1)).all()
    np.testing.assert_array_equal(app.reconstruct(x), mean)


def test_results_stay_when_the_next_image_comes(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    results = [(app.encode(image[None]), app.reconstruct(image[None])) for image in x]
    for image, (q, mean) in zip(x, results, strict=True):
        alone = sxvae_runtime.load(app.path)
        np.testing.assert_array_equal(alone.encode(image[None]).mean_direction, q.mean_direction)
        np.testing.assert_array_equal(alone.encode(image[None]).concentration, q.concentration)
        np.testing.assert_array_equal(alone.reconstruct(image[None]), mean)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floating_type_and_memory_layout(
    app: sxvae_runtime.Bundle,
    x: np.ndarray,
    dtype: Any,
) -> None:
    expected = app.encode(x.astype(dtype).astype(np.float32)).mean_direction
    reversed_twice = x.astype(dtype)[::-1, ..., ::-1][::-1, ..., ::-1]
    fortran = np.asfortranarray(x.astype(dtype))
    for view in (reversed_twice, fortran):
        np.testing.assert_array_equal(app.encode(view).mean_direction, expected)


def test_minus_zero_is_zero(app: sxvae_runtime.Bundle) -> None:
    zeros = np.zeros((2, 1, 8, 8), dtype=np.float32)
    expected = app.encode(zeros).mean_direction
    np.testing.assert_array_equal(app.encode(-zeros).mean_direction, expected)


def test_uint8_is_divided_by_255(app: sxvae_runtime.Bundle) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    scaled = app.encode(pixels / 255)
    np.testing.assert_allclose(app.encode(pixels).mean_direction, scaled.mean_direction, atol=1e-6)


def test_bool_is_zero_and_one(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    expected = app.encode((x > 0.5).astype(np.float32)).mean_direction
    for pixels in (x > 0.5, np.asfortranarray(x > 0.5)):
        np.testing.assert_array_equal(app.encode(pixels).mean_direction, expected)


def test_an_empty_batch_is_an_empty_result(app: sxvae_runtime.Bundle) -> None:
    q = app.encode(np.zeros((0, 1, 8, 8)))
    assert q.mean_direction.shape == (0, 13)
    assert app.decode(q.mean_direction).shape == (0, 1, 8, 8)
    assert app.sample_posterior(q, 2, seed=0).shape == (2, 0, 13)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((1, 8, 8)), r"shape \(1, 8, 8\); \(n, 1, 8, 8\) is needed"),
        (np.zeros((2, 1, 8, 7)), "is needed"),
        (np.full((1, 1, 8, 8), np.nan), "not finite"),
        (np.full((1, 1, 8, 8), np.inf), "not finite"),
        (np.full((1, 1, 8, 8), 1e300), "not finite"),
        (np.full((1, 1, 8, 8), 1.01), r"\[0, 1\]"),
        (np.full((1, 1, 8, 8), -0.01), r"\[0, 1\]"),
        (np.full((1, 1, 8, 8), 255), "int64 with values up to 255, and it is not known"),
        (np.zeros((1, 1, 8, 8), dtype=complex), "type complex128; floating point, whole numbers"),
        ([["a"]], "shape"),
        ([[1.0], [1.0, 2.0]], "rows differ in shape"),
    ],
)
def test_bad_images_are_refused(
    app: sxvae_runtime.Bundle,
    value: Any,
    message: str,
) -> None:
    for method in (app.encode, app.reconstruct):
        with pytest.raises(InputError, match=message):
            method(value)


def test_bad_latent_vectors_are_refused(app: sxvae_runtime.Bundle) -> None:
    z = app.sample_prior(2, seed=0)
    with pytest.raises(InputError, match=r"\(n, 13\) is needed"):
        app.decode(z[0])
    with pytest.raises(InputError, match="not finite"):
        app.decode(z * np.nan)
    z[1, 5:8] *= 2
    for many in (1, 40):  # few and many are looked at in different ways
        repeated = np.tile(z, (many, 1))
        with pytest.raises(InputError, match=r"norm 2 in factor 1 \(S\^2\)"):
            app.decode(repeated)
        repeated[0, 0] = np.nan
        with pytest.raises(InputError, match="not finite"):
            app.decode(repeated)


def test_sampling_the_prior(app: sxvae_runtime.Bundle) -> None:
    z = app.sample_prior(20_000, seed=0)
    assert z.dtype == np.float32
    np.testing.assert_allclose(_norms(app, z), 1, atol=1e-6)
    # Each coordinate has mean 0 and variance 1/p: 5 standard errors over 13 of them.
    for factor in app.factors:
        assert np.abs(z[:, factor.slice].mean(axis=0)).max() < 5 / np.sqrt(20_000 * factor.ambient)
    np.testing.assert_array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=7))
    assert not np.array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=8))
    assert not np.array_equal(app.sample_prior(3), app.sample_prior(3))
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(app.sample_prior(3, seed=rng), app.sample_prior(3, seed=7))
    assert not np.array_equal(app.sample_prior(3, seed=rng), app.sample_prior(3, seed=7))
    with pytest.raises(InputError, match="n must be a whole number of at least 1, not True"):
        app.sample_prior(True)
    with pytest.raises(InputError, match="n must be a whole number of at least 1, not 0"):
        app.sample_prior(0)


def test_sampling_the_posterior(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    q = app.encode(x)
    z = app.sample_posterior(q, samples=8, seed=0)
    assert z.shape == (8, 5, 13)
    np.testing.assert_allclose(_norms(app, z), 1, atol=1e-6)
    np.testing.assert_array_equal(z, app.sample_posterior(q, samples=8, seed=0))
    sharp = q._replace(concentration=np.full_like(q.concentration, 1e8))
    near = app.sample_posterior(sharp, samples=3, seed=0)
    np.testing.assert_allclose(near, np.broadcast_to(q.mean_direction, near.shape), atol=1e-3)
    with pytest.raises(InputError, match="concentration has the shape"):
        app.sample_posterior(q._replace(concentration=q.concentration[:, :1]))
    with pytest.raises(InputError, match="finite and at least 0"):
        app.sample_posterior(q._replace(concentration=-q.concentration))


@pytest.mark.parametrize("seed", [-1, "x", 1.5])
def test_bad_seeds_are_refused(app: sxvae_runtime.Bundle, seed: Any) -> None:
    with pytest.raises(InputError, match="seed must be"):
        app.sample_prior(1, seed=seed)
