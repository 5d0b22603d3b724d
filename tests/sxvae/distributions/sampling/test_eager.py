"""The two ways of sampling around a mean direction, compiled for the CPU and in PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from sxvae.distributions import PowerSpherical, VonMisesFisher, exponential_family
from sxvae.distributions.geometry import unit_vectors
from sxvae.distributions.sampling import compiled, eager
from sxvae.distributions.sampling.cosines import Cosines

FAMILIES = [VonMisesFisher, PowerSpherical]
SAMPLES = 20_000
# Of one test in a million.
SMALLEST_P_VALUE, SIGMAS = 1e-6, 4.9

Family = type[VonMisesFisher] | type[PowerSpherical]


@pytest.fixture
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch draw the samples, as it does on other devices than the CPU."""
    monkeypatch.setattr(exponential_family, "runs_compiled", lambda _: False)


def _directions(count: int, ambient: int) -> Tensor:
    raw = torch.randn(count, ambient, dtype=torch.float64)
    return torch.nn.functional.normalize(raw, dim=-1)


@pytest.mark.parametrize("ambient", [2, 3, 7])
def test_both_assemble_and_differentiate_alike(
    ambient: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    count = 50
    loc = _directions(count, ambient)
    loc[0], loc[1] = torch.eye(ambient)[0], -torch.eye(ambient)[0]
    k = torch.linspace(0, 30, count, dtype=torch.float64)
    q = VonMisesFisher(loc.requires_grad_(), k.requires_grad_())
    cosines = q._draw_cosines(k.detach())
    noise = torch.randn(count, ambient - 1, dtype=torch.float64)
    if ambient == 2:
        noise = noise.sign()
    weights = torch.randn(count, ambient, dtype=torch.float64)

    with_pole = torch.cat([torch.zeros(count, 1), noise], dim=-1)
    monkeypatch.setattr(eager, "_tangents", lambda _: with_pole)
    x = eager.draw_with_gradients(loc, k, cosines, q._cosine_derivatives)
    expected = torch.autograd.grad((x * weights).sum(), (loc, k))

    direction, placed = noise.clone(), torch.empty_like(x)
    compiled._place(loc.detach(), cosines, direction, placed)
    torch.testing.assert_close(placed, x.detach(), rtol=1e-12, atol=1e-14)
    found = compiled._differentiate(
        q._compiled_family(), weights, loc.detach(), k.detach(), *cosines, direction
    )
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 6])
def test_gradients_are_those_of_the_formula(family: Family, ambient: int) -> None:
    """The derivative of x by `loc` equals autograd's through the formula, for the same noise."""
    torch.manual_seed(0)
    loc = _directions(20, ambient).requires_grad_()
    k = torch.full((20,), 3.0, dtype=torch.float64)
    cosines = family(loc.detach(), k)._draw_cosines(k)
    noise = torch.randn(20, ambient - 1, dtype=torch.float64)
    v = noise / noise.norm(dim=-1, keepdim=True)
    weights = torch.randn(20, ambient, dtype=torch.float64)

    one_minus, one_plus = (each[:, None] for each in cosines)
    cosine, sine = 1 - one_minus, (one_minus * one_plus).sqrt()
    first, rest = loc[:, :1], loc[:, 1:]
    inner = (rest * v).sum(dim=-1, keepdim=True)
    tangent = torch.cat([-first.sign() * inner, v - inner / (1 + first.abs()) * rest], dim=-1)
    (expected,) = torch.autograd.grad(((cosine * loc + sine * tangent) * weights).sum(), loc)

    q = family(loc.detach(), k)
    found, _ = compiled._differentiate(q._compiled_family(), weights, q.loc, k, *cosines, v)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 4, 11])
@pytest.mark.parametrize("concentration", [0.01, 1.0, 100.0])
def test_samples_in_torch_follow_the_law(
    family: Family, ambient: int, concentration: float
) -> None:
    torch.manual_seed(1)
    loc = _directions(1, ambient).expand(SAMPLES, ambient)
    q = family(loc, torch.full((SAMPLES,), concentration, dtype=torch.float64))
    x = q.sample()
    cosine = (x * loc).sum(dim=-1)
    angles = np.linspace(0, math.pi, 20_001)[1:-1]
    grid = torch.from_numpy(np.cos(angles))
    statistic = grid - 1 if family is VonMisesFisher else ((1 + grid) / 2).log()
    density = torch.exp(concentration * statistic).numpy() * np.sin(angles) ** (ambient - 2)
    cdf = np.cumsum(density)
    uniform = np.interp(np.arccos(cosine.clamp(-1, 1).numpy()), angles, cdf / cdf[-1])
    assert scipy.stats.kstest(uniform, "uniform").pvalue > SMALLEST_P_VALUE
    error = (x.mean(dim=0) - q.mean[0]) / (q.variance[0] / SAMPLES).sqrt()
    assert error.abs().max() < SIGMAS + 1


@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 5, 20])
def test_gradients_in_torch_are_unbiased(family: Family, ambient: int) -> None:
    torch.manual_seed(2)
    loc = _directions(1, ambient).expand(SAMPLES, ambient)
    k = torch.full((SAMPLES,), 4.0, dtype=torch.float64, requires_grad=True)
    q = family(loc, k)
    (slopes,) = torch.autograd.grad((q.rsample() * loc).sum(), k)
    single = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    resultant = (family(loc[0], single).mean * loc[0]).sum()
    (expected,) = torch.autograd.grad(resultant, single)
    standard_error = slopes.std() / math.sqrt(SAMPLES)
    assert abs(slopes.mean() - expected) < SIGMAS * standard_error


@pytest.mark.parametrize("family", FAMILIES)
def test_many_samples_of_a_row_add_up_their_gradients(family: Family) -> None:
    torch.manual_seed(3)
    loc = _directions(3, 4).float().requires_grad_()
    k = torch.tensor([0.5, 3.0, 40.0], requires_grad=True)
    weights = torch.randn(7, 3, 4)
    torch.manual_seed(4)
    x = family(loc, k).rsample((7,))
    found = torch.autograd.grad((x * weights).sum(), (loc, k))
    torch.manual_seed(4)
    wide_loc, wide_k = (each.detach().expand(7, *each.shape) for each in (loc, k))
    wide_loc, wide_k = (each.clone().requires_grad_() for each in (wide_loc, wide_k))
    y = family(wide_loc, wide_k).rsample()
    each = torch.autograd.grad((y * weights).sum(), (wide_loc, wide_k))
    torch.testing.assert_close(x, y)
    for sums, parts in zip(found, each, strict=True):
        torch.testing.assert_close(sums, parts.sum(dim=0), rtol=1e-4, atol=1e-5)


def test_samples_do_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    k = torch.full((20_000,), 5.0)
    q = VonMisesFisher(_directions(1, 4).float().expand(20_000, 4), k)
    drawn = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(0)
            drawn.append(q.sample())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*drawn)


def test_one_minus_the_cosine_that_underflows_keeps_its_gradient_finite() -> None:
    loc = torch.eye(3)[:1]
    tiny = torch.tensor([1e-280], dtype=torch.float64)
    k = torch.tensor([1.0])
    q = VonMisesFisher(loc, k)
    cosines, direction = Cosines(tiny, 2 - tiny), torch.tensor([[1.0, 0.0]])
    for gradient in compiled._differentiate(
        q._compiled_family(), torch.ones(1, 3), loc, k, *cosines, direction
    ):
        assert gradient.isfinite().all()


def test_unit_vectors_are_twice_differentiable() -> None:
    torch.manual_seed(0)
    raw = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(unit_vectors(raw), torch.nn.functional.normalize(raw, dim=-1))
    assert torch.autograd.gradcheck(unit_vectors, raw)
    assert torch.autograd.gradgradcheck(unit_vectors, raw)
    assert unit_vectors(torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2
