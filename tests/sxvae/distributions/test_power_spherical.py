from __future__ import annotations

import math

import mpmath
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from sxvae.distributions import HypersphericalUniform, PowerSpherical
from sxvae.errors import NumericalError

AMBIENTS = [2, 3, 4, 10, 50]
CONCENTRATIONS = [0.0, 0.1, 1.0, 10.0, 100.0, 1e4]
# One number a cell: a false alarm of a whole grid once in 10,000 runs or less.
SIGMAS, SMALLEST_P_VALUE = 4.75, 2e-6
SAMPLES = 50_000


def _direction(ambient: int) -> Tensor:
    loc = torch.linspace(-1, 2, ambient, dtype=torch.float64)
    unit: Tensor = loc / loc.norm()
    return unit


def _many(ambient: int, concentration: float, count: int = SAMPLES) -> PowerSpherical:
    k = torch.full((count,), concentration, dtype=torch.float64)
    return PowerSpherical(_direction(ambient), k)


@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_samples_follow_the_exact_distribution(ambient: int, concentration: float) -> None:
    q = _many(ambient, concentration)
    x = q.sample()
    gap = (x - q.loc).square().sum(dim=-1) / 4  # (1 - <loc, x>) / 2
    half = (ambient - 1) / 2
    test = scipy.stats.kstest(gap.numpy(), scipy.stats.beta(half, half + concentration).cdf)
    assert test.pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_pathwise_gradient_is_unbiased(ambient: int, concentration: float) -> None:
    """d/dk E[t] = (p-1) / (p-1+k)^2, and for E[t^2] likewise by the chain rule."""
    q = _many(ambient, concentration)
    q.concentration = q.concentration.clone().requires_grad_()
    cosine = (q.rsample() * q.loc).sum()
    (gradients,) = torch.autograd.grad(cosine, q.concentration)
    expected = (ambient - 1) / (ambient - 1 + concentration) ** 2
    standard_error = gradients.std().item() / math.sqrt(SAMPLES)
    assert abs(gradients.mean().item() - expected) < SIGMAS * standard_error
    assert standard_error < 0.02 * expected


@pytest.mark.parametrize("ambient", [2, 5, 100, 5_000])
@pytest.mark.parametrize("concentration", [0.1, 1.0, 30.0, 1e4])
def test_density_entropy_and_kl_against_mpmath(ambient: int, concentration: float) -> None:
    mpmath.mp.dps = 50
    p, k = mpmath.mpf(ambient), mpmath.mpf(concentration)
    beta = (p - 1) / 2
    alpha = beta + k
    log_c = -(
        (p - 1 + k) * mpmath.log(2)
        + beta * mpmath.log(mpmath.pi)
        + mpmath.loggamma(alpha)
        - mpmath.loggamma(alpha + beta)
    )
    mean_log = mpmath.log(2) + mpmath.psi(0, alpha) - mpmath.psi(0, alpha + beta)
    entropy = -log_c - k * mean_log
    log_area = mpmath.log(2) + p / 2 * mpmath.log(mpmath.pi) - mpmath.loggamma(p / 2)
    slope = k * (mpmath.psi(1, alpha) - mpmath.psi(1, alpha + beta))
    largest_term = max(1.0, abs(float(mpmath.loggamma(alpha + beta))), abs(float(k)))

    variable = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    q = PowerSpherical(_direction(ambient), variable)
    for cosine in (-0.9, 0.3, 1.0):
        x = cosine * q.loc + math.sqrt(1 - cosine**2) * _orthogonal(q.loc)
        expected = float(log_c + k * mpmath.log(1 + mpmath.mpf(cosine)))
        assert q.log_prob(x).item() == pytest.approx(expected, rel=1e-9, abs=1e-12 * largest_term)
    assert abs(q.entropy().item() - float(entropy)) <= 1e-12 * largest_term
    divergence = kl_divergence(q, HypersphericalUniform(ambient - 1, dtype=torch.float64))
    assert abs(divergence.item() - float(log_area - entropy)) <= 1e-12 * largest_term
    (gradient,) = torch.autograd.grad(divergence, variable)
    assert gradient.item() == pytest.approx(float(slope), rel=1e-9)


def _orthogonal(loc: Tensor) -> Tensor:
    other = torch.zeros_like(loc)
    other[0] = 1
    across = other - loc[0] * loc
    unit: Tensor = across / across.norm()
    return unit


@pytest.mark.parametrize("ambient", [2, 3, 100, 10_000])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extremes_in_float32(ambient: int, sign: float) -> None:
    loc = torch.zeros(ambient)
    loc[0] = sign
    k = torch.tensor([0.0, 1e-6, 1.7, 30.0, 1e4, 1e8], requires_grad=True)
    q = PowerSpherical(loc, k, validate_args=True)
    kl = kl_divergence(q, HypersphericalUniform(ambient - 1))
    x = q.rsample()
    (gradient,) = torch.autograd.grad(kl.sum() + x.sum(), k)
    for values in (kl, x, gradient, q.log_prob(x.detach()), q.entropy(), q.mean, q.variance):
        assert torch.isfinite(values).all()
    assert (x.double().norm(dim=-1) - 1).abs().max() <= 1e-6


def test_the_opposite_point_has_density_zero_unless_uniform() -> None:
    q = PowerSpherical(_direction(3), torch.tensor([0.0, 2.0], dtype=torch.float64))
    opposite = q.log_prob(-_direction(3))
    assert opposite[0].item() == pytest.approx(-math.log(4 * math.pi))
    assert opposite[1].item() == -math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_bad_concentrations_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError, match="finite and >= 0"):
        PowerSpherical(_direction(3), torch.tensor(bad), validate_args=False).sample()


def test_other_spheres_are_refused() -> None:
    with pytest.raises(ValueError, match="not defined"):
        kl_divergence(PowerSpherical(_direction(3), torch.ones(())), HypersphericalUniform(5))
