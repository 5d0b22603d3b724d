"""Bundles with Euclidean factors: stored ones, so that this needs no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import InputError, Posterior
from sxvae_runtime.factors import Factor

FIXTURES = Path(__file__).parent / "fixtures"
# S^2 x R^3 x S^1; R^3 x R^2; R^2 x S^3 x R^2.
COVARIANCES = ["single", "diagonal", "full"]
COUNT = 40_000


def _load(covariance: str) -> sxvae_runtime.Bundle:
    return sxvae_runtime.load(FIXTURES / f"bundle_v1_{covariance}")


@pytest.fixture(params=COVARIANCES)
def app(request: pytest.FixtureRequest) -> sxvae_runtime.Bundle:
    return _load(request.param)


def _images(app: sxvae_runtime.Bundle, n: int) -> np.ndarray:
    return np.random.default_rng(0).random((n, *app.input_shape))


def _cholesky(app: sxvae_runtime.Bundle, q: Posterior) -> dict[int, np.ndarray]:
    """The Cholesky factors (n, m, m) of each Euclidean factor, by its index."""
    assert q.scale is not None
    factors, start = {}, 0
    for index, factor in enumerate(app.factors):
        if factor.is_sphere:
            continue
        part = q.scale[:, start : start + factor.scales].astype(np.float64)
        start += factor.scales
        if factor.covariance == "full":
            factors[index] = part.reshape(-1, factor.dim, factor.dim)
        else:
            factors[index] = np.eye(factor.dim) * np.broadcast_to(
                part[:, None], (len(part), 1, part.shape[1])
            )
    assert start == q.scale.shape[1]
    return factors


@pytest.mark.parametrize(
    ("covariance", "factors", "widths"),
    [
        ("single", ["S^2", "R^3", "S^1"], (8, 2, 1)),
        ("diagonal", ["R^3", "R^2"], (5, 0, 5)),
        ("full", ["R^2", "S^3", "R^2"], (8, 1, 8)),
    ],
)
def test_encode_and_decode(
    covariance: str, factors: list[str], widths: tuple[int, int, int]
) -> None:
    app = _load(covariance)
    assert [factor.name for factor in app.factors] == factors
    x = _images(app, 6)
    q = app.encode(x)
    assert q.scale is not None
    shapes = (q.mean_direction.shape, q.concentration.shape, q.scale.shape)
    assert shapes == tuple((6, width) for width in widths)
    for lower in _cholesky(app, q).values():
        assert (np.diagonal(lower, axis1=1, axis2=2) > 0).all()
        assert not np.triu(lower, 1).any()
    mean = app.decode(q.mean_direction)
    assert mean.shape == (6, *app.input_shape)
    np.testing.assert_array_equal(app.reconstruct(x), mean)
    none = app.encode(x[:0])
    assert app.sample_posterior(none, 3, seed=0).shape == (3, 0, app.ambient)


def test_released_formats_stay_readable() -> None:
    """What they gave when they were made."""
    expected: dict[str, tuple[list[float], list[float]]] = {
        "single": ([1.3302302, 1.4500628], [0.49774393]),
        "diagonal": ([], [0.80052006, 0.5516249, 0.8761281, 1.2227091, 0.48377612]),
        "full": (
            [1.32114],
            [0.54387397, 0, -1.4897244, 0.73977154, 1.84864, 0, -0.08871788, 0.15617146],
        ),
    }
    means = {"single": 0.48402652, "diagonal": 0.46731892, "full": 0.5304709}
    for covariance, (concentration, scale) in expected.items():
        app = _load(covariance)
        assert app.verify() < 1e-5
        x = np.full((1, *app.input_shape), 0.5)
        q = app.encode(x)
        np.testing.assert_allclose(q.concentration[0], concentration, rtol=1e-5)
        assert q.scale is not None
        np.testing.assert_allclose(q.scale[0], scale, rtol=1e-5)
        np.testing.assert_allclose(app.reconstruct(x).ravel()[0], means[covariance], rtol=1e-5)


def test_prior_draws_are_standard_normal_beside_uniform_spheres(app: sxvae_runtime.Bundle) -> None:
    """12 coordinates at a p-value of 1e-6, and their correlations: a false alarm in 40,000 runs."""
    stats = pytest.importorskip("scipy.stats")
    z = app.sample_prior(COUNT, seed=0)
    assert z.dtype == np.float32
    free = []
    for factor in app.factors:
        part = z[:, factor.slice]
        if factor.is_sphere:
            np.testing.assert_allclose(np.linalg.norm(part, axis=-1), 1, atol=1e-6)
        else:
            free += list(part.T)
    for coordinate in free:
        assert stats.kstest(coordinate, "norm").pvalue > 1e-6
    correlations = np.corrcoef(free) - np.eye(len(free))
    assert np.abs(correlations).max() < 5 / np.sqrt(COUNT)
    np.testing.assert_array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=7))
    assert not np.array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=8))
    assert app.decode(z[:5]).shape == (5, *app.input_shape)


def test_posterior_draws_follow_mean_and_covariance(app: sxvae_runtime.Bundle) -> None:
    """24 tests at a p-value of 1e-6, 42 moments at 5 errors: a false alarm in 20,000 runs."""
    stats = pytest.importorskip("scipy.stats")
    q = app.encode(_images(app, 2))
    z = app.sample_posterior(q, samples=COUNT, seed=0).astype(np.float64)
    assert z.shape == (COUNT, 2, app.ambient)
    for index, lower in _cholesky(app, q).items():
        part = app.factors[index].slice
        for image in range(2):
            centred = z[:, image, part] - q.mean_direction[image, part]
            white = np.linalg.solve(lower[image], centred.T)
            for coordinate in white:
                assert stats.kstest(coordinate, "norm").pvalue > 1e-6
            # The covariance itself, entry by entry: Var(s_ij) = (S_ii S_jj + S_ij^2) / n.
            covariance = lower[image] @ lower[image].T
            variances = np.diag(covariance)
            spread = np.sqrt((np.outer(variances, variances) + covariance**2) / COUNT)
            found = centred.T @ centred / COUNT
            assert (np.abs(found - covariance) < 5 * spread).all()
    for factor in app.factors:
        if factor.is_sphere:
            norms = np.linalg.norm(z[..., factor.slice], axis=-1)
            np.testing.assert_allclose(norms, 1, atol=1e-6)
    again = app.sample_posterior(q, samples=COUNT, seed=0)
    np.testing.assert_array_equal(z, again)


def test_factors_are_drawn_independently() -> None:
    """Different factors, spheres among them, share no noise: 5 standard errors, 24 correlations."""
    app = _load("full")
    q = app.encode(_images(app, 1))
    z = app.sample_posterior(q, samples=COUNT, seed=0)[:, 0]
    correlations: np.ndarray = np.asarray(np.corrcoef(z.T))
    for factor in app.factors:
        correlations[factor.slice, factor.slice] = 0
    assert np.abs(correlations).max() < 5 / np.sqrt(COUNT)


def _with(q: Posterior, column: int, value: float) -> Posterior:
    assert q.scale is not None
    scale = q.scale.copy()
    scale[-1, column] = value
    return q._replace(scale=scale)


@pytest.mark.parametrize(
    ("covariance", "change", "message"),
    [
        ("single", lambda q: q._replace(scale=None), r"no scale; one of shape \(2, 1\) is needed"),
        ("single", lambda q: q._replace(scale=q.scale[:, 0]), r"shape \(2,\); \(2, 1\) is needed"),
        ("diagonal", lambda q: q._replace(scale=q.scale[:, 1:]), r"\(2, 4\); \(2, 5\) is needed"),
        ("full", lambda q: q._replace(scale=q.scale[:1]), r"\(1, 8\); \(2, 8\) is needed"),
        ("full", lambda q: _with(q, 0, np.nan), "every scale must be a finite number"),
        ("full", lambda q: _with(q, 0, np.inf), "every scale must be a finite number"),
        ("single", lambda q: _with(q, 0, 0), r"every standard deviation of factor 1 \(R\^3\)"),
        ("single", lambda q: _with(q, 0, -1), r"factor 1 \(R\^3\) must be above 0"),
        ("diagonal", lambda q: _with(q, 4, -1), r"factor 1 \(R\^2\) must be above 0"),
        ("full", lambda q: _with(q, 0, -1), r"factor 0 \(R\^2\) must have a diagonal above 0"),
        ("full", lambda q: _with(q, 7, 0), r"factor 2 \(R\^2\) must have a diagonal above 0"),
        ("full", lambda q: _with(q, 5, 0.1), r"factor 2 \(R\^2\) must be lower-triangular"),
        ("full", lambda q: q._replace(concentration=-q.concentration), "at least 0"),
        ("full", lambda q: q._replace(concentration=None), r"\(2, 1\) is needed"),
        ("full", lambda q: q._replace(concentration=[["a"], ["b"]]), "must be a finite number"),
    ],
)
def test_bad_posteriors_are_refused(
    covariance: str, change: Callable[[Posterior], Posterior], message: str
) -> None:
    app = _load(covariance)
    q = app.encode(_images(app, 2))
    with pytest.raises(InputError, match=message) as caught:
        app.sample_posterior(change(q), seed=0)
    assert "\n" not in str(caught.value)


def test_a_scale_that_nobody_has_is_refused() -> None:
    app = sxvae_runtime.load(FIXTURES / "bundle_v1")
    q = app.encode(_images(app, 2))
    assert q.scale is None
    assert app.sample_posterior(q._replace(scale=np.empty((2, 0), np.float32))).shape[1] == 2
    with pytest.raises(InputError, match=r"scale has the shape \(2, 1\); \(2, 0\) is needed"):
        app.sample_posterior(q._replace(scale=np.ones((2, 1), np.float32)))


def test_norms_matter_on_spheres_only() -> None:
    app = _load("single")
    z = app.sample_prior(2, seed=0)
    euclidean, sphere = app.factors[1].slice, app.factors[2].slice
    z[:, euclidean] *= 50
    assert app.decode(z).shape == (2, 1, 2, 2)
    z[1, sphere] *= 3
    with pytest.raises(InputError, match=r"norm 3 in factor 2 \(S\^1\)"):
        app.decode(z)
    z[1, euclidean] = np.inf
    with pytest.raises(InputError, match="not finite"):
        app.decode(z)


def test_interpolation_is_a_straight_line_on_euclidean_factors(app: sxvae_runtime.Bundle) -> None:
    z0, z1 = app.sample_prior(2, seed=3)
    for long_way in (False, True):
        path = app.interpolate(z0, z1, steps=5, long_way=long_way)
        assert path.shape == (5, app.ambient)
        np.testing.assert_allclose(path[[0, -1]], [z0, z1], atol=1e-6)
        for factor in app.factors:
            _check_path(path[:, factor.slice], factor, long_way)
        assert app.decode(path).shape == (5, *app.input_shape)


def _check_path(part: np.ndarray, factor: Factor, long_way: bool) -> None:
    """Equal steps along a line, or equal angles along an arc that is longer than pi or not."""
    if not factor.is_sphere:
        steps = np.diff(part, axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-5)
        return
    np.testing.assert_allclose(np.linalg.norm(part, axis=-1), 1, atol=1e-6)
    angles = np.arccos(np.sum(part[1:] * part[:-1], axis=-1))
    np.testing.assert_allclose(angles, angles[0], atol=1e-3)
    assert (angles.sum() > np.pi) == long_way
