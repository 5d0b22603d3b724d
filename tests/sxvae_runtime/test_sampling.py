from __future__ import annotations

import numpy as np
import pytest

from sxvae_runtime import InputError, cosines, sampling
from sxvae_runtime.families import SPHERICAL_FAMILIES
from sxvae_runtime.geometry import great_circle
from sxvae_runtime.sampling import sample, sample_normal, uniform_directions

COUNT = 40_000
# 60 cells at a p-value of 3e-6 and 5 standard errors: a false alarm in 5,000 runs.
SMALLEST_P_VALUE, SIGMAS = 3e-6, 5


def _direction(ambient: int) -> np.ndarray:
    loc = np.linspace(-1, 2, ambient)
    return loc / np.linalg.norm(loc)


@pytest.mark.parametrize("ambient", [2, 3, 4, 6, 11, 41, 200])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 12.0, 1_000.0])
def test_von_mises_fisher_follows_its_exact_distribution(
    ambient: int, concentration: float
) -> None:
    integrate = pytest.importorskip("scipy.integrate")
    special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
    loc = np.broadcast_to(_direction(ambient), (COUNT, ambient))
    x = sample("vmf", loc, np.full(COUNT, concentration), np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1, atol=1e-12)

    cosine = np.clip(x @ loc[0], -1, 1)
    angles = np.linspace(0, np.pi, 400_001)
    with np.errstate(divide="ignore"):
        log_sine = np.log(np.sin(angles))
    log_sine[[0, -1]] = -np.inf
    log_density = concentration * (np.cos(angles) - 1) + (
        (ambient - 2) * log_sine if ambient > 2 else 0
    )
    density = np.exp(log_density - log_density.max())
    cdf = integrate.cumulative_trapezoid(density, angles, initial=0)
    test = stats.kstest(np.arccos(cosine), lambda a: np.interp(a, angles, cdf / cdf[-1]))
    assert test.pvalue > SMALLEST_P_VALUE

    if concentration > 0:
        order = ambient / 2 - 1
        ratio = special.ive(order + 1, concentration) / special.ive(order, concentration)
        error = cosine.mean() - ratio
        assert abs(error) < SIGMAS * cosine.std() / np.sqrt(COUNT)
    across = x - cosine[:, None] * loc
    spread = np.sqrt(across.var(axis=0) / COUNT) + 1e-12
    assert (np.abs(across.mean(axis=0)) < (SIGMAS + 1) * spread).all()


@pytest.mark.parametrize("ambient", [2, 3, 5, 41])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 30.0, 1e4])
def test_power_spherical_follows_its_exact_distribution(ambient: int, concentration: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    loc = np.broadcast_to(_direction(ambient), (COUNT, ambient))
    k = np.full(COUNT, concentration)
    x = sample("power-spherical", loc, k, np.random.default_rng(0))
    half = (ambient - 1) / 2
    half_one_minus = np.square(x - loc).sum(axis=-1) / 4  # (1 - <loc, x>) / 2
    test = stats.kstest(half_one_minus, stats.beta(half, half + concentration).cdf)
    assert test.pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("ambient", [2, 3, 5, 41])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 30.0, 1e4])
def test_spherical_cauchy_follows_its_exact_distribution(
    ambient: int, concentration: float
) -> None:
    """The tangent of half the angle is that of a uniform direction over sqrt(1 + 2 k / (p-1))."""
    stats = pytest.importorskip("scipy.stats")
    loc = np.broadcast_to(_direction(ambient), (COUNT, ambient))
    x = sample("spherical-cauchy", loc, np.full(COUNT, concentration), np.random.default_rng(0))
    half, half_one_minus = (ambient - 1) / 2, np.square(x - loc).sum(axis=-1) / 4
    growth = concentration / half
    uniform = (1 + growth) * half_one_minus / (1 + growth * half_one_minus)
    assert stats.kstest(uniform, stats.beta(half, half).cdf).pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("family", SPHERICAL_FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 50])
@pytest.mark.parametrize("concentration", [0.0, 1e-6, 1e8])
@pytest.mark.parametrize("sign", [1, -1])
def test_extremes_at_the_poles(family: str, ambient: int, concentration: float, sign: int) -> None:
    loc = np.zeros((100, ambient))
    loc[:, 0] = sign
    x = sample(family, loc, np.full(100, concentration), np.random.default_rng(1))
    assert np.isfinite(x).all()
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1, atol=1e-12)
    if concentration == 1e8:
        # On a circle, one of 500 in the family with heavy tails is further away.
        allowed = 2 if family == "spherical-cauchy" else 0
        assert np.sort((x * loc).sum(axis=-1))[allowed] > 0.999


@pytest.mark.parametrize("family", SPHERICAL_FAMILIES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_bad_concentrations_are_refused(family: str, bad: float) -> None:
    with pytest.raises(InputError, match="finite and at least 0"):
        sample(family, _direction(3), np.array(bad), np.random.default_rng(0))


def test_opposite_and_equal_points_have_a_path() -> None:
    start = _direction(4)
    for end, long_way, total in (
        (-start, False, np.pi),
        (-start, True, np.pi),
        (start, False, 0.0),
        (start, True, 2 * np.pi),
    ):
        path = great_circle(start, end, 9, long_way)
        np.testing.assert_allclose(np.linalg.norm(path, axis=-1), 1, atol=1e-12)
        np.testing.assert_allclose(path[[0, -1]], [start, end], atol=1e-12)
        chords = np.linalg.norm(np.diff(path, axis=0), axis=-1)
        np.testing.assert_allclose(2 * np.arcsin(chords / 2), total / 8, atol=1e-7)


@pytest.mark.parametrize("family", SPHERICAL_FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 5])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 1e3, 1e8])
def test_few_draws_equal_those_of_arrays(
    family: str, ambient: int, concentration: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loc = np.stack([_direction(ambient), -_direction(ambient)])
    k = np.full((2, 1, 2), concentration)
    draws = [sample(family, loc, k, np.random.default_rng(seed)) for seed in range(20)]
    monkeypatch.setattr(cosines, "_FEW", 0)
    monkeypatch.setattr(sampling, "_FEW_NUMBERS", 0)
    arrays = [sample(family, loc, k, np.random.default_rng(seed)) for seed in range(20)]
    np.testing.assert_allclose(draws, arrays, atol=1e-12)


def test_uniform_directions_are_on_the_sphere() -> None:
    x = uniform_directions((1_000, 7), np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(x, axis=-1), 1, atol=1e-12)


def _normal_scales(covariance: str, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales of two distributions, and their Cholesky factors (2, dim, dim)."""
    rng = np.random.default_rng(1)
    if covariance == "full":
        lower = np.tril(rng.standard_normal((2, dim, dim)), -1)
        lower += np.eye(dim) * rng.uniform(0.2, 2, (2, dim))[:, None]
        return lower.reshape(2, -1), lower
    scale = rng.uniform(0.2, 2, (2, 1 if covariance == "single" else dim))
    return scale, np.eye(dim) * np.broadcast_to(scale, (2, dim))[:, None]


@pytest.mark.parametrize("covariance", ["single", "diagonal", "full"])
@pytest.mark.parametrize("dim", [1, 2, 10])
def test_normals_follow_their_exact_distribution(covariance: str, dim: int) -> None:
    """Squared distances are chi-squared, coordinates normal: 96 tests at a p-value of 1e-7."""
    stats = pytest.importorskip("scipy.stats")
    loc = np.linspace(-3, 5, 2 * dim).reshape(2, dim)
    scale, lower = _normal_scales(covariance, dim)
    x = sample_normal(loc, scale, covariance, COUNT, np.random.default_rng(0))
    assert x.shape == (COUNT, 2, dim)
    for i in range(2):
        white = np.linalg.solve(lower[i], (x[:, i] - loc[i]).T)
        squares = np.square(white).sum(axis=0)
        assert stats.kstest(squares, stats.chi2(dim).cdf).pvalue > 1e-7
        for coordinate in white:
            assert stats.kstest(coordinate, "norm").pvalue > 1e-7
