from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from benchmarks import reference
from sxvae.distributions import HypersphericalUniform, VonMisesFisher
from sxvae.distributions.special.bessel import bessel_terms
from sxvae.errors import NumericalError

AMBIENTS = [2, 3, 4, 5, 10, 41, 200]
CONCENTRATIONS = [0.0, 0.5, 1.0, 10.0, 12.0, 100.0, 1e4]
# Each statistical test below compares one number per cell with its known distribution: at 4.75
# standard errors, or a p-value of 2e-6, the false-alarm rate of a whole grid is below 1e-4.
SIGMAS, SMALLEST_P_VALUE = 4.75, 2e-6
SAMPLES = 50_000


def _pole(ambient: int) -> Tensor:
    loc = torch.zeros(ambient, dtype=torch.float64)
    loc[0] = 1
    return loc


def _somewhere(ambient: int) -> Tensor:
    loc = torch.linspace(-1, 2, ambient, dtype=torch.float64)
    unit: Tensor = loc / loc.norm()
    return unit


def _many(ambient: int, concentration: float, count: int = SAMPLES) -> VonMisesFisher:
    k = torch.full((count,), concentration, dtype=torch.float64)
    return VonMisesFisher(_somewhere(ambient), k)


def _exact_cdf(ambient: int, concentration: float) -> tuple[np.ndarray, np.ndarray]:
    """Angles between sample and mean direction, and their exact distribution function."""

    def log_density(angle: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            log_sine = np.log(np.sin(angle)) if ambient > 2 else np.zeros_like(angle)
        value: np.ndarray = concentration * (np.cos(angle) - 1) + (ambient - 2) * log_sine
        return value

    coarse = np.linspace(0, np.pi, 200_001)
    values = log_density(coarse)
    inside = coarse[values > values.max() - 45]
    angles = np.linspace(inside[0], inside[-1], 200_001)
    values = log_density(angles)
    density = np.exp(values - values.max())
    cdf = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return angles, cdf / cdf[-1]


@pytest.mark.parametrize("ambient", [2, 3, 5, 21, 100])
@pytest.mark.parametrize("concentration", [0.1, 1.0, 30.0, 700.0])
def test_density_and_entropy_against_scipy(ambient: int, concentration: float) -> None:
    loc = _somewhere(ambient)
    ours = VonMisesFisher(loc, torch.tensor(concentration, dtype=torch.float64))
    theirs = scipy.stats.vonmises_fisher(loc.numpy(), concentration)  # type: ignore[arg-type]
    x = ours.sample((20,))
    np.testing.assert_allclose(ours.log_prob(x).numpy(), theirs.logpdf(x.numpy()), rtol=1e-9)
    assert ours.entropy().item() == pytest.approx(theirs.entropy(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("ambient", [2, 3, 5, 41, 1_000, 5_000])
@pytest.mark.parametrize("concentration", [1e-6, 1e-3, 0.1, 1.0, 3.0, 30.0, 100.0, 1e3, 1e4])
def test_kl_to_uniform_and_its_gradient_against_mpmath(ambient: int, concentration: float) -> None:
    mpmath.mp.dps = 60
    p, k = mpmath.mpf(ambient), mpmath.mpf(concentration)
    value = mpmath.besseli(p / 2 - 1, k)
    ratio = mpmath.besseli(p / 2, k) / value
    log_c = (p / 2 - 1) * mpmath.log(k) - p / 2 * mpmath.log(2 * mpmath.pi) - mpmath.log(value)
    log_area = mpmath.log(2) + p / 2 * mpmath.log(mpmath.pi) - mpmath.loggamma(p / 2)
    expected = k * ratio + log_c + log_area
    slope = k * (1 - ratio**2 - (p - 1) * ratio / k)

    variable = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    uniform = HypersphericalUniform(ambient - 1, dtype=torch.float64)
    divergence = kl_divergence(VonMisesFisher(_pole(ambient), variable), uniform)
    assert divergence.item() == pytest.approx(float(expected), rel=1e-10)
    (gradient,) = torch.autograd.grad(divergence, variable)
    assert gradient.item() == pytest.approx(float(slope), rel=1e-9)


@pytest.mark.parametrize("ambient", [2, 3, 10, 100])
@pytest.mark.parametrize(("ours", "theirs"), [(3.0, 3.0), (0.0, 5.0), (20.0, 4.0), (500.0, 700.0)])
def test_kl_between_two(ambient: int, ours: float, theirs: float) -> None:
    """Against the mean of the log-ratio of densities over samples."""
    other = torch.ones(ambient, dtype=torch.float64) / math.sqrt(ambient)
    ks = torch.tensor([ours, theirs, 0.0], dtype=torch.float64)
    p, q = VonMisesFisher(_somewhere(ambient), ks[0]), VonMisesFisher(other, ks[1])
    x = p.sample((SAMPLES,))
    ratios = p.log_prob(x) - q.log_prob(x)
    standard_error = ratios.std() / math.sqrt(SAMPLES)
    assert abs(ratios.mean() - kl_divergence(p, q)) < SIGMAS * standard_error + 1e-9
    assert kl_divergence(p, p).abs() < 1e-12
    uniform = HypersphericalUniform(ambient - 1, dtype=torch.float64)
    flat = VonMisesFisher(other, ks[2])
    torch.testing.assert_close(
        kl_divergence(p, flat), kl_divergence(p, uniform), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("ambient", [2, 5, 100, 5_000])
@pytest.mark.parametrize("ours", [1e-6, 0.3, 10.0, 1e4, 1e8])
@pytest.mark.parametrize("ratio", [1 + 1e-9, 1.3, 1.6, 40.0])
def test_kl_between_two_is_accurate_however_close(ambient: int, ours: float, ratio: float) -> None:
    """Value and gradient against the closed form in 60 digits."""
    mpmath.mp.dps = 60
    ks = torch.tensor([ours, ours * ratio], dtype=torch.float64, requires_grad=True)
    loc, values = _pole(ambient), ks.tolist()
    divergence = kl_divergence(VonMisesFisher(loc, ks[0]), VonMisesFisher(loc, ks[1]))
    expected = reference.kl_between_von_mises_fisher(ambient, values[0], values[1], 0.0)
    assert divergence.item() == pytest.approx(float(expected), rel=1e-10, abs=0)
    (slopes,) = torch.autograd.grad(divergence, ks)
    p, its = (reference.von_mises_fisher(ambient, value) for value in values)
    by_ours = p.mean_slope * (mpmath.mpf(values[0]) - mpmath.mpf(values[1]))
    assert slopes[0].item() == pytest.approx(float(by_ours), rel=1e-9, abs=0)
    assert slopes[1].item() == pytest.approx(float(its.mean - p.mean), rel=1e-9, abs=0)


def test_gradients_of_the_kl_between_two() -> None:
    locs = [_somewhere(4).clone().requires_grad_(), _pole(4).clone().requires_grad_()]
    ks = [torch.tensor(k, dtype=torch.float64, requires_grad=True) for k in (3.0, 8.0)]

    def divergence(*arguments: Tensor) -> Tensor:
        (p_loc, q_loc, p_k, q_k) = arguments
        pair = [VonMisesFisher(loc / loc.norm(), k) for loc, k in ((p_loc, p_k), (q_loc, q_k))]
        return kl_divergence(*pair)

    assert torch.autograd.gradcheck(divergence, (*locs, *ks))


@pytest.mark.parametrize("ambient", [2, 3, 5, 50, 500])
@pytest.mark.parametrize("concentration", [0.3, 5.0, 100.0, 1e6])
def test_fit_solves_the_likelihood_equations(ambient: int, concentration: float) -> None:
    """The fitted mean resultant is the sample's, and the parameters lie near the true ones."""
    true = VonMisesFisher(
        _somewhere(ambient), torch.tensor([concentration, concentration / 2], dtype=torch.float64)
    )
    x = true.sample((20_000,))
    fitted = VonMisesFisher.fit(x)
    mean = x.mean(dim=0)
    length = mean.norm(dim=-1)
    torch.testing.assert_close(fitted.loc, mean / length[:, None])
    torch.testing.assert_close(fitted.mean, mean, rtol=1e-9, atol=1e-12)
    # The estimate's standard error is 1 / sqrt(n A'(k)); it is biased upwards where the sample's
    # mean direction is mostly noise, at about (p - 1) / (2 n A'(k) k).
    slope = bessel_terms(ambient / 2 - 1, true.concentration).derivative
    standard_error = 1 / (20_000 * slope).sqrt()
    bias = (ambient - 1) / (2 * 20_000 * slope * true.concentration)
    error = fitted.concentration - true.concentration
    assert (error.abs() < SIGMAS * standard_error + 2 * bias).all()


def test_fit_at_both_ends() -> None:
    balanced = torch.cat([torch.eye(3), -torch.eye(3)])
    fitted = VonMisesFisher.fit(balanced)
    assert fitted.concentration == 0
    assert fitted.loc.tolist() == [1, 0, 0]
    assert fitted.loc.dtype == torch.float32
    with pytest.raises(ValueError, match="all vectors coincide"):
        VonMisesFisher.fit(_pole(3).expand(10, 3))


@pytest.mark.parametrize("concentration", [1.0, 1e4])
def test_float32_gradient_of_the_kl_does_not_cancel(concentration: float) -> None:
    """Exact ratios that cancel in float32 make it wrong by 100% to 2000% at k = 1e4."""
    slopes = []
    for dtype in (torch.float32, torch.float64):
        k = torch.tensor(concentration, dtype=dtype, requires_grad=True)
        q = VonMisesFisher(_pole(5).to(dtype), k)
        (slope,) = torch.autograd.grad(kl_divergence(q, HypersphericalUniform(4, dtype=dtype)), k)
        slopes.append(slope.item())
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-6)


@pytest.mark.parametrize("ambient", [2, 3, 75, 100, 1_000, 100_000])
def test_nothing_underflows_in_float32(ambient: int) -> None:
    """Exponentially scaled Bessel functions in float32 do, from p = 75 at k = 1.7 on."""
    k = torch.tensor([0.0, 1e-6, 1.7, 30.0, 1e4, 1e8], requires_grad=True)
    q = VonMisesFisher(_pole(ambient).float(), k, validate_args=True)
    kl = kl_divergence(q, HypersphericalUniform(ambient - 1))
    x = q.rsample()
    (gradient,) = torch.autograd.grad(kl.sum() + x.sum(), k)
    for values in (kl, x, gradient, q.log_prob(x.detach()), q.entropy(), q.mean, q.variance):
        assert torch.isfinite(values).all()
    assert (x.double().norm(dim=-1) - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("ambient", AMBIENTS)
def test_samples_follow_the_exact_distribution(ambient: int) -> None:
    """Kolmogorov-Smirnov on the angle; p = 41, k = 12 is where others' b gives 0.089 for 0.272."""
    for concentration in CONCENTRATIONS:
        q = _many(ambient, concentration)
        x = q.sample()
        cosine = (x * q.loc).sum(dim=-1)
        angle = torch.atan2((x - cosine[:, None] * q.loc).norm(dim=-1), cosine).numpy()
        angles, cdf = _exact_cdf(ambient, concentration)
        uniform = np.interp(angle, angles, cdf)
        test = scipy.stats.kstest(uniform, "uniform")
        assert test.pvalue > SMALLEST_P_VALUE, (concentration, test)


@pytest.mark.parametrize("ambient", AMBIENTS)
def test_moments_of_samples(ambient: int) -> None:
    for concentration in CONCENTRATIONS:
        q = _many(ambient, concentration)
        x = q.sample()
        error = (x.mean(dim=0) - q.mean[0]) / (q.variance[0] / SAMPLES).sqrt()
        assert error.abs().max() < SIGMAS + 1, concentration  # up to 200 coordinates at once
        across = x - (x * q.loc).sum(dim=-1, keepdim=True) * q.loc
        expected = bessel_terms(ambient / 2 - 1, q.concentration[:1]).ratio_over_x
        total = across.square().sum(dim=-1)
        spread = total.std() / math.sqrt(SAMPLES)
        assert abs(total.mean() - (ambient - 1) * expected) < SIGMAS * spread + 1e-12


@pytest.mark.parametrize("ambient", [2, 3, 5, 10, 50])
@pytest.mark.parametrize("concentration", [0.1, 1.0, 5.0, 9.0, 100.0, 1_000.0])
def test_pathwise_gradient_is_unbiased(ambient: int, concentration: float) -> None:
    """d/dk E[w] = A'(k). Without the implicit correction p = 5, k = 5 is off by -17%."""
    q = _many(ambient, concentration)
    q.concentration = q.concentration.clone().requires_grad_()
    cosine = (q.rsample() * q.loc).sum()
    (gradients,) = torch.autograd.grad(cosine, q.concentration)
    expected = bessel_terms(ambient / 2 - 1, torch.tensor(concentration)).derivative.item()
    standard_error = gradients.std().item() / math.sqrt(SAMPLES)
    assert abs(gradients.mean().item() - expected) < SIGMAS * standard_error
    assert standard_error < 0.02 * expected


@pytest.mark.parametrize("ambient", [2, 3, 7])
def test_pathwise_gradient_of_loc_is_unbiased(ambient: int) -> None:
    """For f(x) = <a, x> + <b, x>^2 against the derivative of the closed form along a rotation."""
    concentration = 4.0
    raw = _somewhere(ambient).clone().requires_grad_()
    a = torch.linspace(1, 2, ambient, dtype=torch.float64)
    b = torch.linspace(-1, 1, ambient, dtype=torch.float64)
    k = torch.full((SAMPLES,), concentration, dtype=torch.float64)

    loc = (raw / raw.norm()).expand(SAMPLES, ambient)
    x = VonMisesFisher(loc, k).rsample()
    values = x @ a + (x @ b) ** 2
    (each,) = torch.autograd.grad(values.sum(), loc, retain_graph=True)
    tangent = each - (each * loc).sum(dim=-1, keepdim=True) * loc

    terms = bessel_terms(ambient / 2 - 1, k[:1])
    ratio = 1 - terms.complement
    unit = raw / raw.norm()
    # E[x x^T] = (A/k) I + (1 - p A/k) mu mu^T
    expectation = ratio * (a @ unit) + (1 - ambient * terms.ratio_over_x) * (b @ unit) ** 2
    (expected,) = torch.autograd.grad(expectation.sum(), raw)
    standard_error = tangent.std(dim=0) / math.sqrt(SAMPLES)
    assert ((tangent.mean(dim=0) - expected).abs() < SIGMAS * standard_error).all()


@pytest.mark.parametrize("ambient", [2, 3, 20])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("concentration", [0.0, 1e-6, 5.0, 1e8])
def test_mean_direction_at_and_opposite_to_the_pole(
    ambient: int, sign: float, concentration: float
) -> None:
    loc = (sign * _pole(ambient)).float().requires_grad_()
    k = torch.full((100,), concentration, requires_grad=True)
    q = VonMisesFisher(loc, k)
    x = q.rsample()
    gradients = torch.autograd.grad((x * torch.arange(ambient)).sum(), (loc, k))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert (x.double().norm(dim=-1) - 1).abs().max() <= 1e-6
    if concentration == 1e8:
        assert (x @ loc).min() > 0.999


def test_zero_concentration_is_uniform() -> None:
    uniform = HypersphericalUniform(4)
    q = VonMisesFisher(_pole(5).float(), torch.tensor(0.0))
    x = uniform.sample((50,))
    torch.testing.assert_close(q.log_prob(x), uniform.log_prob(x))
    torch.testing.assert_close(q.entropy(), uniform.entropy())
    assert kl_divergence(q, uniform).item() == pytest.approx(0, abs=1e-6)
    assert q.mean.norm() == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_sampling_bad_concentrations_ends_with_an_error(bad: float) -> None:
    for ambient in (3, 5):
        k = torch.tensor([1.0, bad], dtype=torch.float64)
        q = VonMisesFisher(_pole(ambient), k, validate_args=False)
        with pytest.raises(NumericalError, match=rf"R\^{ambient} "):
            q.sample()


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="loc"):
        VonMisesFisher(torch.tensor([2.0, 0.0]), torch.tensor(1.0), validate_args=True)
    with pytest.raises(ValueError, match="concentration"):
        VonMisesFisher(torch.tensor([1.0, 0.0]), torch.tensor(-1.0), validate_args=True)
    with pytest.raises(ValueError, match="last axis"):
        VonMisesFisher(torch.ones(1), torch.tensor(1.0))
    with pytest.raises(ValueError, match="support"):
        VonMisesFisher(_pole(3), torch.tensor(1.0).double(), validate_args=True).log_prob(
            torch.ones(3).double()
        )
    with pytest.raises(ValueError, match="not defined"):
        kl_divergence(VonMisesFisher(_pole(3), torch.ones(())), HypersphericalUniform(5))
