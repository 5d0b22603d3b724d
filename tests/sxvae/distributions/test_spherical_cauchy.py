from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence

from benchmarks import spherical_cauchy_reference as reference
from benchmarks.reference import DIGITS
from sxvae.distributions import HypersphericalUniform, SphericalCauchy
from sxvae.errors import NumericalError

AMBIENTS = [2, 3, 4, 10, 50]
CONCENTRATIONS = [0.0, 1.0, 10.0, 1e4]
# One number a cell: a false alarm of a whole grid once in 10,000 runs or less.
SIGMAS, SMALLEST_P_VALUE = 4.75, 2e-6
SAMPLES = 20_000


def _direction(ambient: int) -> Tensor:
    loc = torch.linspace(-1, 2, ambient, dtype=torch.float64)
    unit: Tensor = loc / loc.norm()
    return unit


def _many(ambient: int, concentration: float, count: int = SAMPLES) -> SphericalCauchy:
    k = torch.full((count,), concentration, dtype=torch.float64)
    return SphericalCauchy(_direction(ambient), k)


@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_samples_follow_the_exact_distribution(ambient: int, concentration: float) -> None:
    """With z = (1 - t) / 2, (1 + 2k/m) z / (1 + 2k/m z) is (1 - u) / 2 of a uniform direction."""
    q = _many(ambient, concentration)
    z = (q.sample() - q.loc).square().sum(dim=-1) / 4
    double = 2 * concentration / (ambient - 1)
    uniform = (1 + double) * z / (1 + double * z)
    half = (ambient - 1) / 2
    test = scipy.stats.kstest(uniform.numpy(), scipy.stats.beta(half, half).cdf)
    assert test.pvalue > SMALLEST_P_VALUE


@pytest.mark.parametrize("ambient", [3, 4])
def test_samples_are_the_literatures_moebius_map(ambient: int) -> None:
    torch.manual_seed(0)
    loc, k, dim = _direction(ambient), 7.0, ambient - 1
    a = 1 + dim / k
    psi = loc / (a + math.sqrt(a**2 - 1))
    u = nn.functional.normalize(torch.randn(100, ambient, dtype=torch.float64), dim=-1)
    square, moved = psi.square().sum(), (u + psi).square().sum(dim=-1, keepdim=True)
    expected = (1 - square) * (u + psi) / moved + psi
    found = SphericalCauchy(loc, torch.full((100,), k, dtype=torch.float64))._moved(3 * u)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("ambient", [2, 3, 10])
@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_pathwise_gradient_is_unbiased(ambient: int, concentration: float) -> None:
    """With respect to k of E[t], and to `loc` of E[<x, y>] for a fixed y."""
    loc = _direction(ambient).expand(SAMPLES, ambient).clone().requires_grad_()
    k = torch.full((SAMPLES,), concentration, dtype=torch.float64, requires_grad=True)
    x = SphericalCauchy(loc, k).rsample()
    (by_k,) = torch.autograd.grad((x * loc.detach()).sum(), k, retain_graph=True)
    (by_loc,) = torch.autograd.grad(x[:, 0].sum(), loc)
    one = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    mean = (SphericalCauchy(loc[0].detach(), one).mean * loc[0].detach()).sum()
    (slope,) = torch.autograd.grad(mean, one)
    error = by_k.std() / math.sqrt(SAMPLES)
    assert (by_k.mean() - slope).abs() < SIGMAS * error
    assert error < 0.1 * slope  # on circles and S^2 the tails are heavy
    # E[x] = E[t] loc, and only turns of loc count.
    first = torch.eye(ambient, dtype=torch.float64)[0]
    turned = mean.detach() * (first - loc[0, 0].detach() * loc[0].detach())
    error = by_loc.std(dim=0) / math.sqrt(SAMPLES)
    assert ((by_loc.mean(dim=0) - turned).abs() < (SIGMAS + 1) * error + 1e-12).all()


@pytest.mark.parametrize("ambient", [2, 3, 5, 100, 5_000, 100_000])
@pytest.mark.parametrize("concentration", [1e-6, 0.1, 1.0, 30.0, 1e4, 1e8])
def test_density_entropy_and_kl_against_mpmath(ambient: int, concentration: float) -> None:
    mpmath.mp.dps = DIGITS
    expected = reference.spherical_cauchy(ambient, concentration)
    k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    loc = torch.eye(1, ambient, dtype=torch.float64)[0]
    q, uniform = SphericalCauchy(loc, k), HypersphericalUniform(ambient - 1, dtype=torch.float64)
    kl, mean, mode, entropy = kl_divergence(q, uniform), q.mean[0], q.log_prob(loc), q.entropy()
    for found, value, slope in (
        (kl, expected.kl, expected.kl_slope),
        (kl_divergence(uniform, q), expected.kl, expected.kl_slope),
        (mean, expected.mean, expected.mean_slope),
        (mode, None, expected.log_prob_at_mode_slope),
        (entropy, None, expected.entropy_slope),
    ):
        (gradient,) = torch.autograd.grad(found, k, retain_graph=True)
        assert gradient.item() == pytest.approx(float(slope), rel=1e-9, abs=0)
        if value is not None:
            assert found.item() == pytest.approx(float(value), rel=1e-10, abs=0)
    log_area = abs(uniform.entropy().item())
    largest = max(1.0, log_area, float(expected.kl))
    assert abs(mode.item() - float(expected.log_prob_at_mode)) <= 1e-11 * max(1.0, log_area)
    assert abs(entropy.item() - float(expected.entropy)) <= 1e-12 * largest
    # The density elsewhere, in the literature's form.
    r = reference._radius(ambient - 1, mpmath.mpf(concentration))
    for cosine in (-1.0, -0.9, 0.3):
        x = cosine * loc
        x[1] = math.sqrt(1 - cosine**2)
        ratio = (1 - r**2) / (1 + r**2 - 2 * r * mpmath.mpf(cosine))
        density = float((ambient - 1) * mpmath.log(ratio)) - uniform.entropy().item()
        assert q.log_prob(x).item() == pytest.approx(density, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("ambient", [2, 3, 5, 100_000])
@pytest.mark.parametrize("one_minus", [0.0, 1e-8, 0.2, 2.0])
def test_kl_between_two_against_mpmath(ambient: int, one_minus: float) -> None:
    mpmath.mp.dps = DIGITS
    first, second = torch.zeros(2, ambient, dtype=torch.float64)
    first[0], second[0], second[1] = 1, 1 - one_minus, math.sqrt(one_minus * (2 - one_minus))
    exact = (first - second).square().sum().item() / 2
    for ours in (1e-3, 10.5, 1e5):
        for theirs in (1e-3, 10.6, 1e8):
            ks = torch.tensor([ours, theirs], dtype=torch.float64)
            p, q = SphericalCauchy(first, ks[0]), SphericalCauchy(second, ks[1])
            expected = reference.kl_between_spherical_cauchy(ambient, ours, theirs, exact)
            for found in (kl_divergence(p, q), kl_divergence(q, p)):
                assert found.item() == pytest.approx(float(expected), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("ambient", [2, 3, 8])
def test_kl_between_two_by_samples(ambient: int) -> None:
    """Four numbers at 5 standard errors."""
    loc = _direction(ambient)
    k = torch.tensor([0.5, 3.0, 20.0, 1e4], dtype=torch.float64)
    p, q = SphericalCauchy(loc, k), SphericalCauchy(-loc.flip(0), torch.tensor(6.0).double())
    x = p.sample((SAMPLES,))
    ratios = p.log_prob(x) - q.log_prob(x)
    error = ratios.std(dim=0) / math.sqrt(SAMPLES)
    assert ((ratios.mean(dim=0) - kl_divergence(p, q)).abs() < 5 * error).all()


@pytest.mark.parametrize("ambient", [2, 3, 6])
def test_gradients_of_the_kl_between_two(ambient: int) -> None:
    raw = [torch.randn(4, ambient, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    ks = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([0.2, 3.0, 40.0, 900.0], [5.0, 0.3, 40.0, 10.0])
    ]

    def divergence(p_loc: Tensor, q_loc: Tensor, p_k: Tensor, q_k: Tensor) -> Tensor:
        p, q = (
            SphericalCauchy(nn.functional.normalize(loc, dim=-1), k)
            for loc, k in ((p_loc, p_k), (q_loc, q_k))
        )
        return kl_divergence(p, q)

    assert torch.autograd.gradcheck(divergence, (*raw, *ks))
    assert torch.autograd.gradgradcheck(divergence, (*raw, *ks))


@pytest.mark.parametrize("ambient", [2, 3, 100, 10_000])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extremes_in_float32(ambient: int, sign: float) -> None:
    loc = sign * torch.eye(1, ambient)[0]
    k = torch.tensor([0.0, 1e-30, 1e-6, 1.7, 30.0, 1e4, 1e8, 3e38], requires_grad=True)
    q = SphericalCauchy(loc, k, validate_args=True)
    kl = kl_divergence(q, HypersphericalUniform(ambient - 1)) + kl_divergence(q, q)
    x = q.rsample()
    (gradient,) = torch.autograd.grad(kl.sum() + x.sum(), k)
    for values in (kl, x, gradient, q.log_prob(x.detach()), q.entropy(), q.mean, q.variance):
        assert torch.isfinite(values).all()
    assert (x.double().norm(dim=-1) - 1).abs().max() <= 1e-6
    exact = SphericalCauchy(loc.double(), k.double())
    for found, expected in ((q.entropy(), exact.entropy()), (q.mean, exact.mean)):
        assert torch.equal(found, expected.float())


def test_the_largest_concentration_is_finite_in_everything() -> None:
    k = torch.tensor([1e99, 1e100], dtype=torch.float64, requires_grad=True)
    q = SphericalCauchy(_direction(3), k)
    kl = kl_divergence(q, HypersphericalUniform(2, dtype=torch.float64)) + kl_divergence(q, q)
    x = q.rsample()
    (gradient,) = torch.autograd.grad(kl.sum() + x.sum(), k)
    for values in (kl, x, gradient, q.log_prob(x), q.log_prob(-q.loc), q.mean, q.variance):
        assert values.isfinite().all()


Function = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]


def _everything(raw: Tensor, k: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
    """All that the distribution computes; samples from the given noise."""
    q = SphericalCauchy(nn.functional.normalize(raw, dim=-1), k, validate_args=False)
    x = q._moved(noise)
    uniform = HypersphericalUniform(raw.shape[-1] - 1, dtype=raw.dtype, validate_args=False)
    other = SphericalCauchy(q.loc.flip(-1), k + 1, validate_args=False)
    divergences = kl_divergence(q, uniform), kl_divergence(q, other)
    return x, q.log_prob(x), q.entropy(), q.mean, q.variance, *divergences


def _arguments(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    raw, noise = torch.randn(2, 5, 4, dtype=dtype)
    k = torch.tensor([0.0, 0.3, 3.0, 20.0, 700.0], dtype=dtype)
    return raw.requires_grad_(), k.requires_grad_(), noise


def test_second_derivatives() -> None:
    raw, k, noise = _arguments()
    positive = (k.detach() + 0.1).requires_grad_()
    for index in range(7):
        assert torch.autograd.gradgradcheck(
            lambda raw, k, index=index: _everything(raw, k, noise)[index],
            (raw, positive),
            fast_mode=True,
        )


def test_torch_compile_makes_one_graph_of_it() -> None:
    raw, k, noise = _arguments()

    def results(raw: Tensor, k: Tensor, noise: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        q = SphericalCauchy(nn.functional.normalize(raw, dim=-1), k)
        return _everything(raw, k, noise), q.rsample((1_000,))

    compiled = torch.compile(results, fullgraph=True, backend="aot_eager")
    found, x = compiled(raw, k, noise)
    slopes = torch.autograd.grad(torch.stack([each.sum() for each in found]).sum(), (raw, k))
    expected = _everything(raw, k, noise)
    exact = torch.autograd.grad(torch.stack([each.sum() for each in expected]).sum(), (raw, k))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slopes, exact, rtol=1e-10, atol=1e-10)
    assert (x.norm(dim=-1) - 1).abs().max() < 1e-12
    assert (x.mean(dim=0) - expected[3]).abs().max() < 5 / math.sqrt(1_000)


def test_reduced_precision_is_the_float32_result_rounded() -> None:
    raw, k, noise = _arguments(torch.float32)
    for dtype in (torch.bfloat16, torch.float16):
        loc, concentration = nn.functional.normalize(raw.detach(), dim=-1).to(dtype), k.to(dtype)
        q = SphericalCauchy(loc, concentration, validate_args=True)
        wide = SphericalCauchy(nn.functional.normalize(loc.float(), dim=-1), concentration.float())
        x = q.rsample((3,))
        assert x.dtype == dtype
        assert q.log_prob(x).isfinite().all()
        uniform = HypersphericalUniform(3)
        for narrow, full in (
            (q.entropy(), wide.entropy()),
            (q.mean, wide.mean),
            (kl_divergence(q, uniform), kl_divergence(wide, uniform)),
            (kl_divergence(q, q), kl_divergence(wide, wide)),
        ):
            assert torch.equal(narrow, full.to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = _everything(raw, k, noise)
    for found, expected in zip(under_autocast, _everything(raw, k, noise), strict=True):
        assert torch.equal(found, expected)


def test_torch_func_transforms() -> None:
    raw, k, noise = _arguments()
    together = _everything(raw, k, noise)
    each = torch.func.vmap(_everything)(raw, k, noise)
    torch.testing.assert_close(each, together, rtol=1e-12, atol=1e-14)

    def loss(raw: Tensor, k: Tensor, noise: Tensor) -> Tensor:
        return torch.stack([each.sum() for each in _everything(raw, k, noise)]).sum()

    expected = torch.autograd.grad(loss(raw, k, noise), (raw, k))
    found = torch.func.grad(loss, argnums=(0, 1))(raw, k, noise)
    per_row = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))(raw, k, noise)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(per_row, expected, rtol=1e-10, atol=1e-12)

    def sample(raw: Tensor, k: Tensor) -> Tensor:
        q = SphericalCauchy(nn.functional.normalize(raw, dim=-1), k, validate_args=False)
        return q.rsample()

    x = torch.func.vmap(sample, randomness="different")(raw, k)
    assert (x.norm(dim=-1) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_bad_concentrations_are_refused(bad: float) -> None:
    with pytest.raises(NumericalError, match="finite and >= 0"):
        SphericalCauchy(_direction(3), torch.tensor(bad), validate_args=False).sample()


def test_other_spheres_are_refused() -> None:
    for other in (HypersphericalUniform(5), SphericalCauchy(_direction(4), torch.ones(()))):
        with pytest.raises(ValueError, match="not defined"):
            kl_divergence(SphericalCauchy(_direction(3), torch.ones(())), other)
