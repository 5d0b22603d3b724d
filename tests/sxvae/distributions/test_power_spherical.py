from __future__ import annotations

import math

import mpmath
import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from benchmarks import reference
from sxvae.distributions import HypersphericalUniform, PowerSpherical, exponential_family
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
    half_one_minus = (x - q.loc).square().sum(dim=-1) / 4  # (1 - <loc, x>) / 2
    half = (ambient - 1) / 2
    test = scipy.stats.kstest(
        half_one_minus.numpy(), scipy.stats.beta(half, half + concentration).cdf
    )
    assert test.pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_pathwise_gradient_is_unbiased(ambient: int, concentration: float) -> None:
    """d/dk E[t] = (p-1) / (p-1+k)^2."""
    q = _many(ambient, concentration)
    q.concentration = q.concentration.clone().requires_grad_()
    cosine = (q.rsample() * q.loc).sum()
    (gradients,) = torch.autograd.grad(cosine, q.concentration)
    expected = (ambient - 1) / (ambient - 1 + concentration) ** 2
    standard_error = gradients.std().item() / math.sqrt(SAMPLES)
    assert abs(gradients.mean().item() - expected) < SIGMAS * standard_error
    assert standard_error < 0.02 * expected


@pytest.mark.parametrize("ambient", [2, 5, 100, 5_000])
@pytest.mark.parametrize("concentration", [1e-6, 0.1, 1.0, 30.0, 1e4, 1e8])
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
    assert divergence.item() == pytest.approx(float(log_area - entropy), rel=1e-10)
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


def _pair(ambient: int, one_minus: float) -> tuple[Tensor, Tensor, float]:
    """Two directions whose cosine is 1 - `one_minus`, and `one_minus` after rounding."""
    first, second = torch.zeros(2, ambient, dtype=torch.float64)
    first[0], second[0], second[1] = 1, 1 - one_minus, math.sqrt(one_minus * (2 - one_minus))
    return first, second, min((first - second).square().sum().item() / 2, 2.0)


@pytest.mark.parametrize("ambient", [2, 3, 4, 10, 1_000])
@pytest.mark.parametrize("one_minus", [0.0, 1e-8, 0.2, 1.5, 2.0])
def test_kl_between_two_against_harmonics(ambient: int, one_minus: float) -> None:
    mpmath.mp.dps = 40
    first, second, exact = _pair(ambient, one_minus)
    for ours in (3.0, 10.5, 1e3, 1e5):
        for theirs in (1e-3, 2.0, 1e3, 1e6):
            expected = float(reference.kl_between_power_spherical(ambient, ours, theirs, exact))
            ks = torch.tensor([ours, theirs], dtype=torch.float64)
            p, q = PowerSpherical(first, ks[0]), PowerSpherical(second, ks[1])
            assert kl_divergence(p, q).item() == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("ours", [1e-6, 1e-3, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("one_minus", [1e-6, 0.2, 1.0, 1.9])
def test_kl_between_two_of_small_concentrations(ours: float, one_minus: float) -> None:
    """Where harmonics converge slowly: on S^2, by a single integral."""
    mpmath.mp.dps = 30
    first, second, exact = _pair(3, one_minus)
    for theirs in (0.3, 40.0):
        expected = reference.kl_between_power_spherical_on_s2(ours, theirs, exact)
        ks = torch.tensor([ours, theirs], dtype=torch.float64)
        p, q = PowerSpherical(first, ks[0]), PowerSpherical(second, ks[1])
        assert kl_divergence(p, q).item() == pytest.approx(float(expected), rel=1e-10, abs=1e-10)


def test_kl_between_two_in_the_limits() -> None:
    first, second, _ = _pair(5, 0.7)
    k = torch.tensor([0.0, 1e-6, 1.0, 50.0, 1e6, 1e8], dtype=torch.float64)
    q = PowerSpherical(first, k)
    assert kl_divergence(q, q).abs().max() < 1e-11
    flat = PowerSpherical(second, torch.zeros((), dtype=torch.float64))
    uniform = HypersphericalUniform(4, dtype=torch.float64)
    torch.testing.assert_close(
        kl_divergence(q, flat), kl_divergence(q, uniform), rtol=1e-10, atol=0
    )
    # Concentrated ones are Gaussian in the tangent space, of variance 2 / k a coordinate.
    near = nn.functional.normalize(first + 1e-4 * second, dim=-1)
    k = torch.tensor(1e8, dtype=torch.float64)
    one_minus = (first - near).square().sum() / 2
    found = kl_divergence(PowerSpherical(first, k), PowerSpherical(near, k))
    torch.testing.assert_close(found, k * one_minus / 2, rtol=1e-4, atol=0)


@pytest.mark.parametrize("ambient", [2, 3, 6])
def test_gradients_of_the_kl_between_two(ambient: int) -> None:
    raw = [torch.randn(4, ambient, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    ks = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([0.2, 3.0, 40.0, 900.0], [5.0, 0.3, 40.0, 10.0])
    ]

    def divergence(*arguments: Tensor) -> Tensor:
        p_loc, q_loc, p_k, q_k = arguments
        pair = [
            PowerSpherical(nn.functional.normalize(loc, dim=-1), k)
            for loc, k in ((p_loc, p_k), (q_loc, q_k))
        ]
        return kl_divergence(*pair)

    assert torch.autograd.gradcheck(divergence, (*raw, *ks))


@pytest.mark.parametrize("ambient", [2, 3, 5, 50])
@pytest.mark.parametrize("concentration", [5.0, 100.0, 1e6])
def test_fit_maximises_the_likelihood(ambient: int, concentration: float) -> None:
    """Its gradient vanishes, in standard errors of the parameters, and they lie near the truth."""
    count = 5_000
    loc = _direction(ambient)
    truth = PowerSpherical(
        loc, torch.tensor([concentration, concentration / 2], dtype=torch.float64)
    )
    x = truth.sample((count,))
    fitted = PowerSpherical.fit(x)
    raw = fitted.loc.clone().requires_grad_()
    k = fitted.concentration.clone().requires_grad_()
    at_fit = PowerSpherical(nn.functional.normalize(raw, dim=-1), k)
    by_loc, by_k = torch.autograd.grad(at_fit.log_prob(x).mean(dim=0).sum(), (raw, k))
    assert (by_loc.norm(dim=-1) / k).max() < 1e-7
    assert (by_k * k).abs().max() < 1e-9
    # The Fisher information of k is the variance of its statistic.
    information = truth._log_partition(truth.concentration).curvature
    error = (fitted.concentration - truth.concentration).abs()
    bias = (ambient - 1) / (count * information * truth.concentration)
    assert (error < SIGMAS / (count * information).sqrt() + bias).all()


@pytest.mark.parametrize("ambient", [2, 3])
def test_fit_of_dispersed_vectors_is_no_worse_than_any_direction(ambient: int) -> None:
    """They have several maxima: on the circle one between the opposites of any two vectors."""
    trials = nn.functional.normalize(torch.randn(20_000, ambient, dtype=torch.float64), dim=-1)
    for _ in range(8):
        x = PowerSpherical(_direction(ambient), 0.3).sample((50,))
        fitted = PowerSpherical.fit(x)
        likelihoods = PowerSpherical(trials, fitted.concentration).log_prob(x[:, None]).sum(dim=0)
        assert fitted.log_prob(x).sum() >= likelihoods.max() - 1e-9


def test_fit_starts_away_from_poles() -> None:
    """The mean direction is opposite to one of the vectors here."""
    x = torch.tensor([[1.0, 0.0, 0.0]] * 3 + [[-1.0, 0.0, 0.0]])
    assert PowerSpherical.fit(x).concentration == pytest.approx(0.78, abs=0.01)


def test_fit_of_a_single_set_keeps_type_and_shape() -> None:
    x = _many(4, 20.0, 500).sample().float()
    fitted = PowerSpherical.fit(x)
    assert fitted.batch_shape == ()
    assert fitted.loc.dtype == fitted.concentration.dtype == torch.float32
    separate = PowerSpherical.fit(torch.stack([x, -x], dim=1))
    torch.testing.assert_close(separate.loc, torch.stack([fitted.loc, -fitted.loc]))
    torch.testing.assert_close(separate.concentration, fitted.concentration.expand(2))


def test_fit_at_both_ends() -> None:
    with pytest.raises(ValueError, match="all vectors coincide"):
        PowerSpherical.fit(_direction(3).expand(10, 3))
    # Some direction always fits a finite set at least as well as the uniform distribution does, so
    # points all around a circle have a concentration near 0, not 0.
    angles = torch.arange(0, 360, dtype=torch.float64) * (math.pi / 180)
    fitted = PowerSpherical.fit(torch.stack([angles.cos(), angles.sin()], dim=-1))
    assert fitted.concentration < 0.02


def test_a_sample_opposite_to_loc_has_a_finite_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding puts one there once in 1e8 draws at k = 0 on a circle."""
    draws = iter([torch.tensor(1e-17), torch.tensor(1.0)])
    monkeypatch.setattr(torch.distributions.Gamma, "sample", lambda _: next(draws).double())
    monkeypatch.setattr(exponential_family, "runs_compiled", lambda _: False)
    k = torch.zeros((), dtype=torch.float64, requires_grad=True)
    x = PowerSpherical(_direction(2), k).rsample()
    assert (x + _direction(2)).norm() < 1e-7
    (gradient,) = torch.autograd.grad(x.sum(), k)
    assert gradient.isfinite()


def test_gradients_of_a_density_at_the_opposite_point() -> None:
    loc = _direction(3).clone().requires_grad_()
    k = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    density = PowerSpherical(loc, k, validate_args=False).log_prob(-_direction(3))
    by_loc, by_k = torch.autograd.grad(density[0], (loc, k))
    assert by_loc.isfinite().all()
    assert by_k[0] < -100  # it falls to -inf at once


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_bad_concentrations_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError, match="finite and >= 0"):
        PowerSpherical(_direction(3), torch.tensor(bad), validate_args=False).sample()


def test_other_spheres_are_refused() -> None:
    with pytest.raises(ValueError, match="not defined"):
        kl_divergence(PowerSpherical(_direction(3), torch.ones(())), HypersphericalUniform(5))
