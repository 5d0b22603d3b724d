"""The compiled functions of each family against those of PyTorch, extremes included."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from sxvae.distributions import PowerSpherical, SphericalCauchy, VonMisesFisher
from sxvae.distributions.sampling import compiled
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.moebius import dilate
from sxvae.distributions.spherical_cauchy import kl_table
from sxvae.kernels import beta
from sxvae.kernels.quadrature import exponential, log_of_one_plus
from sxvae.kernels.spherical_cauchy import (
    differentiate_spherical_cauchy,
    draw_spherical_cauchy,
)

CONCENTRATIONS = [0.0, 1e-8, 0.3, 1.0, 10.0, 1e3, 1e8, 1e20]
# Of one test in a million.
SMALLEST_P_VALUE = 1e-6


def _directions(count: int, ambient: int) -> Tensor:
    raw = torch.randn(count, ambient, dtype=torch.float64)
    return torch.nn.functional.normalize(raw, dim=-1)


@pytest.mark.parametrize("ambient", [2, 3, 5, 41])
@pytest.mark.parametrize("concentration", [*CONCENTRATIONS, 1e100])
def test_spherical_cauchy_samples_and_gradients(ambient: int, concentration: float) -> None:
    torch.manual_seed(0)
    loc = _directions(30, ambient)
    noise = 3 * _directions(30, ambient)
    noise[0], noise[1], noise[2] = loc[0], -loc[1], 1e-4 * noise[2] - loc[2]
    weights = torch.randn(30, ambient, dtype=torch.float64)
    k = torch.full((30,), concentration, dtype=torch.float64)
    x, direction, by_loc, by_k = (torch.empty_like(each) for each in (loc, loc, loc, k))

    arguments = [each.numpy() for each in (loc, k, noise, direction, x)]
    assert draw_spherical_cauchy(*arguments) == -1
    arguments = [each.numpy() for each in (weights, loc, k, direction, by_loc, by_k)]
    differentiate_spherical_cauchy(*arguments)

    loc, k = loc.clone().requires_grad_(), k.clone().requires_grad_()
    unit = torch.nn.functional.normalize(noise, dim=-1)
    expected = dilate(unit, loc, k / (ambient - 1))
    torch.testing.assert_close(x, expected.detach(), rtol=1e-9, atol=1e-12)
    by_loc_there, by_k_there = torch.autograd.grad((weights * expected).sum(), (loc, k))
    torch.testing.assert_close(by_loc, by_loc_there, rtol=1e-7, atol=1e-13)
    largest = by_k_there.abs().max().item()
    torch.testing.assert_close(by_k, by_k_there, rtol=1e-7, atol=1e-12 * largest)


@pytest.mark.parametrize("k", [-1e-9, np.nan, np.inf, 1e101])
def test_spherical_cauchy_concentrations_that_are_refused(k: float) -> None:
    pole, work = np.eye(3)[:1], np.empty((1, 3))
    assert draw_spherical_cauchy(pole, np.array([k]), pole, work, work.copy()) == 0


@pytest.mark.parametrize("ambient", [2, 3, 5, 50])
def test_the_spherical_cauchy_table_gives_the_sum(ambient: int) -> None:
    """The KL and its slope by k, over k, in both ways to look them up; and their limits."""
    k = 10 ** torch.linspace(-8, 37, 2_001, dtype=torch.float64)
    q = SphericalCauchy(torch.eye(ambient, dtype=torch.float64)[0], k.requires_grad_())
    kl = q._kl_to_uniform()
    (slope,) = torch.autograd.grad(kl.sum(), k)
    k, table = k.detach(), kl_table(ambient)
    for moments in (table(k), compiled.look_up(table, k)):
        torch.testing.assert_close(moments.kl, kl.detach(), rtol=1e-11, atol=0)
        torch.testing.assert_close(k * moments.variance, slope, rtol=1e-9, atol=0)
    far = torch.tensor([0.0, 1e45, torch.nan], dtype=torch.float64)
    expected = SphericalCauchy(torch.eye(ambient, dtype=torch.float64)[0], 1e45)._kl_to_uniform()
    for moments in (table(far), compiled.look_up(table, far)):
        assert moments.kl[0] == 0
        torch.testing.assert_close(moments.kl[1], expected)
        assert moments.kl[2].isnan()


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
@pytest.mark.parametrize("ambient", [2, 3, 4, 5, 17, 100])
def test_derivatives_of_cosines(
    family: type[VonMisesFisher] | type[PowerSpherical], ambient: int
) -> None:
    """At cosines that are drawn, and at such that hardly ever are."""
    torch.manual_seed(0)
    k = torch.tensor(CONCENTRATIONS, dtype=torch.float64).repeat(12)
    q = family(torch.eye(ambient, dtype=torch.float64)[0], k)
    cosines = q._draw_cosines(k)
    rare = torch.tensor([1e-12, 1e-3, 1.0, 1.9], dtype=torch.float64)
    rare = rare.repeat_interleave(len(CONCENTRATIONS))
    is_rare = torch.arange(len(k)) < len(rare)
    is_rare &= k <= 10
    rare = torch.cat([rare, cosines.one_minus[len(rare) :]])
    cosines = Cosines(
        torch.where(is_rare, rare, cosines.one_minus),
        torch.where(is_rare, 2 - rare, cosines.one_plus),
    )
    expected = q._cosine_derivatives(k, cosines)
    # The gradient of t = <loc, x>, in which the direction orthogonal to loc does not count.
    loc = q.loc.expand(len(k), -1).contiguous()
    direction = torch.zeros(len(k), ambient - 1, dtype=torch.float64)
    direction[:, -1] = 1
    _, found = compiled._differentiate(q._compiled_family(), loc, loc, k, *cosines, direction)
    torch.testing.assert_close(-found, expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("ambient", [2, 3, 4, 7, 60])
@pytest.mark.parametrize("concentration", [0.0, 0.2, 1.0, 30.0, 1e4])
def test_power_spherical_cosines_follow_their_law(ambient: int, concentration: float) -> None:
    count = 20_000
    one_minus, one_plus = np.empty((2, count))
    k = np.array([concentration])
    assert beta.draw_cosines(k, ambient, 7, 0, one_minus, one_plus) == -1
    np.testing.assert_allclose(one_minus + one_plus, 2, rtol=1e-14)
    half = (ambient - 1) / 2
    law = scipy.stats.beta(half, half + concentration)
    assert scipy.stats.kstest(one_minus / 2, law.cdf).pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("ambient", [2, 3, 7])
def test_power_spherical_cosines_at_huge_concentrations(ambient: int) -> None:
    """There k (1 - t) / 2 has a Gamma distribution."""
    one_minus, one_plus = np.empty((2, 20_000))
    for concentration in (1e20, 1e100):
        k = np.array([concentration])
        assert beta.draw_cosines(k, ambient, 7, 0, one_minus, one_plus) == -1
        assert (one_plus == 2).all()
        law = scipy.stats.gamma((ambient - 1) / 2)
        found = scipy.stats.kstest(concentration * one_minus / 2, law.cdf)
        assert found.pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("k", [-1e-9, np.nan, np.inf, 1e101])
@pytest.mark.parametrize("ambient", [2, 3, 7])
def test_power_spherical_concentrations_that_are_refused(ambient: int, k: float) -> None:
    one_minus, one_plus = np.empty((2, 2))
    assert beta.draw_cosines(np.array([1.0, k]), ambient, 7, 0, one_minus, one_plus) == 1


def test_the_vectorised_functions() -> None:
    for x in [*-(10.0 ** np.arange(-300, 0)), -0.7, -0.3, -0.29, 0.0, 0.41, 0.42, 3.0]:
        expected = float(mpmath.log1p(x))
        assert log_of_one_plus(x) == pytest.approx(expected, rel=1e-13, abs=0)
    for x in 10.0 ** np.arange(-300, 300):
        assert log_of_one_plus(x) == pytest.approx(np.log1p(x), rel=1e-13, abs=0)
    for x in np.linspace(-690, 690, 2_001):
        assert exponential(x) == pytest.approx(np.exp(x), rel=1e-11, abs=0)
