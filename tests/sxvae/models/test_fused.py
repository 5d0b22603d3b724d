"""The fused operation gives the samples, KL and gradients of the separate distributions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sxvae import ProductSpace
from sxvae.distributions import ProductDistribution
from sxvae.distributions.normal import normal
from sxvae.errors import NumericalError
from sxvae.models import fused
from sxvae.models.fused import is_fusible
from sxvae.models.parameters import head_layout
from sxvae.models.posterior import PosteriorHead
from sxvae_runtime.factors import Covariance

FEATURES, BATCH = 6, 40


def _head(
    dims: str,
    families: str = "vmf",
    covariance: Covariance = "diagonal",
    dtype: torch.dtype = torch.float64,
) -> PosteriorHead:
    torch.manual_seed(1)
    return PosteriorHead(FEATURES, ProductSpace.parse(dims, families, covariance)).to(dtype)


def _features(dtype: torch.dtype = torch.float64) -> Tensor:
    """Some are large, so that concentrations are as well."""
    torch.manual_seed(2)
    scale = torch.logspace(-1, 2, BATCH, dtype=dtype).unsqueeze(-1)
    return (scale * torch.randn(BATCH, FEATURES, dtype=dtype)).requires_grad_()


def _fused(head: PosteriorHead, features: Tensor) -> tuple[Tensor, Tensor]:
    prior = head.space.prior(dtype=features.dtype)
    z, kl = head(features).rsample_and_kl(prior)
    return z, kl


def _by_distributions(head: PosteriorHead, features: Tensor) -> tuple[Tensor, Tensor]:
    posterior = head.space.posterior(*head(features).parameters)
    prior = head.space.prior(dtype=features.dtype)
    return posterior.rsample(), posterior.kl_per_factor(prior)


VMF = [(dims, "vmf", "diagonal") for dims in ("1", "2", "4", "4,4", "3,1,3,8,1", "40", "70")]
OTHER = [
    (dims, family, "diagonal")
    for family in ("power-spherical", "spherical-cauchy")
    for dims in ("1", "2", "3,1,3,8,1", "40")
]
NORMAL = [("3,2,3,1", "normal", covariance) for covariance in ("single", "diagonal", "full")]
_COVARIANCES: tuple[Covariance, ...] = ("single", "full")
MIXED = [
    ("4,1,4,2,3,4,2", "vmf,spherical-cauchy,power-spherical,normal,normal,vmf,normal", covariance)
    for covariance in _COVARIANCES
]


@pytest.mark.parametrize("space", [*VMF, *OTHER, *NORMAL, *MIXED])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_those_of_the_distributions(
    space: tuple[str, str, Covariance], dtype: torch.dtype
) -> None:
    head, features = _head(*space, dtype=dtype), _features(dtype)
    assert is_fusible(head.linear(features), head.space)
    torch.manual_seed(3)
    weights = torch.randn(BATCH, head.space.ambient, dtype=dtype)
    kl_weights = torch.randn(BATCH, len(head.space.factors), dtype=dtype)
    found = []
    for way in (_fused, _by_distributions):
        torch.manual_seed(4)
        z, kl = way(head, features)
        total = (weights * z).sum() + (kl_weights * kl).sum()
        gradients = torch.autograd.grad(total, [features, *head.parameters()])
        found.append((z, kl, *gradients))
    assert found[0][0].shape == (BATCH, head.space.ambient)
    assert found[0][1].shape == (BATCH, len(head.space.factors))
    tolerance = 1e-7 if dtype == torch.float64 else 1e-4
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=tolerance, atol=tolerance * theirs.abs().max().item()
        )


@pytest.mark.parametrize("space", [VMF[3], VMF[4], *MIXED])
def test_blocks_change_nothing(
    space: tuple[str, str, Covariance], monkeypatch: pytest.MonkeyPatch
) -> None:
    head, features = _head(*space), _features()
    found = []
    for rows in (10_000, 14):
        monkeypatch.setattr(fused, "_ROWS", rows)
        torch.manual_seed(4)
        z, kl = _fused(head, features)
        total = (z * torch.linspace(-1, 1, z.shape[1])).sum() + kl.sum()
        gradients = torch.autograd.grad(total, [features, *head.parameters()])
        found.append((z, kl, *gradients))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole)
    assert torch.equal(found[0][0], found[1][0])


def test_one_output_alone_has_gradients() -> None:
    head, features = _head("4,2"), _features()
    for output in (0, 1):
        torch.manual_seed(4)
        (ours,) = torch.autograd.grad(_fused(head, features)[output].square().sum(), features)
        torch.manual_seed(4)
        theirs = _by_distributions(head, features)[output].square().sum()
        (expected,) = torch.autograd.grad(theirs, features)
        torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("space", [VMF[4], *MIXED])
def test_what_is_not_fused_gives_the_same(
    space: tuple[str, str, Covariance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, without Numba, or with a family that has no compiled functions."""
    head, features = _head(*space), _features()
    torch.manual_seed(4)
    expected = _fused(head, features)
    monkeypatch.setattr(fused, "_FUSIBLE", {"vmf of another kind"})
    torch.manual_seed(4)
    for ours, theirs in zip(_fused(head, features), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def _curvature(
    way: Callable[[PosteriorHead, Tensor], tuple[Tensor, Tensor]], head: PosteriorHead
) -> Tensor:
    features = _features()
    torch.manual_seed(4)
    z, kl = way(head, features)
    (slope,) = torch.autograd.grad(z.sin().sum() + kl.sum(), features, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), features)
    return curvature


@pytest.mark.parametrize("families", ["spherical-cauchy", "spherical-cauchy,normal"])
def test_second_derivatives_are_those_of_the_distributions(families: str) -> None:
    head = _head("3,2", families, "full")
    found, expected = _curvature(_fused, head), _curvature(_by_distributions, head)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7 * expected.abs().max().item())


@pytest.mark.parametrize("families", ["vmf", "power-spherical", "normal,vmf"])
def test_second_derivatives_by_a_cosine_are_refused(families: str) -> None:
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        _curvature(_fused, _head("4,4", families))


def test_a_backward_pass_that_is_differentiated_leaves_the_random_stream() -> None:
    head, features = _head("4,4", "spherical-cauchy"), _features()
    z, _ = _fused(head, features)
    before = torch.get_rng_state()
    torch.autograd.grad(z.sum(), features, create_graph=True)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("family", ["vmf", "power-spherical", "spherical-cauchy"])
def test_concentrations_that_are_not_finite_are_refused(family: str, value: float) -> None:
    head, features = _head("2,4,4", f"normal,{family},{family}"), _features()
    with torch.no_grad():
        head.linear.bias[head_layout(head.space).concentration][1] = value
    messages = []
    for way in (_fused, _by_distributions):
        with pytest.raises(NumericalError, match=r"R\^5 .* 40 of 80 are not") as caught:
            way(head, features)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_all_random_numbers_come_from_pytorch() -> None:
    head, features = _head("4,4"), _features()
    with torch.no_grad():
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(_fused(head, features)[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.isclose(draws[0], draws[2]).any()


@pytest.mark.parametrize("families", ["vmf", "normal", "normal,power-spherical"])
def test_no_image_gives_no_sample(families: str) -> None:
    head, features = _head("4,2", families), _features()[:0]
    z, kl = _fused(head, features)
    assert z.shape == (0, head.space.ambient)
    assert kl.shape == (0, 2)
    (z.sum() + kl.sum()).backward()
    gradient = head.linear.weight.grad
    assert gradient is not None
    assert not gradient.any()


def test_gradients_can_be_taken_twice_and_in_directions_that_are_learned() -> None:
    head, features = _head(*MIXED[0]), _features()
    z, kl = _fused(head, features)
    weights = torch.ones_like(z).requires_grad_()
    grads = [
        torch.autograd.grad((z, kl), features, (weights, torch.ones_like(kl)), retain_graph=True)
        for _ in range(2)
    ]
    assert torch.equal(grads[0][0], grads[1][0])


@pytest.mark.parametrize("covariance", ["single", "diagonal", "full"])
@pytest.mark.parametrize("value", [math.nan, -math.inf, -800.0, 1e4])
def test_scales_at_the_ends(covariance: Covariance, value: float) -> None:
    """What is not a number stays so, for training to see it."""
    head, features = _head("3", "normal", covariance), _features()
    with torch.no_grad():
        head.linear.bias[head_layout(head.space).scale][0] = value
    found = []
    for way in (_fused, _by_distributions):
        torch.manual_seed(4)
        z, kl = way(head, features)
        (by_bias,) = torch.autograd.grad(z.sum() + kl.sum(), head.linear.bias)
        found.append((z, kl) if math.isnan(value) else (z, kl, by_bias))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-7, equal_nan=True)
    assert found[0][0].isnan().any() == math.isnan(value)


def test_outputs_that_are_changed_before_the_backward_pass_are_refused() -> None:
    space = ProductSpace.parse("4,2")
    outputs = torch.randn(3, head_layout(space).size, requires_grad=True).clone()
    _, kl = fused.fused_sample_and_kl(outputs, space)
    outputs.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        kl.sum().backward()


def test_a_prior_for_each_image_is_broadcast() -> None:
    head, features = _head("4,2"), _features()
    prior = head.space.prior(dtype=torch.float64).expand((3, BATCH))
    _, kl = head(features).rsample_and_kl(prior)
    torch.testing.assert_close(kl, _fused(head, features)[1].expand(3, -1, -1))


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("change", ["moved", "scaled", "learned", "wide"])
def test_a_prior_that_is_not_standard_normal_counts(covariance: Covariance, change: str) -> None:
    head, features = _head("3,2", "vmf,normal", covariance, torch.float32), _features(torch.float32)
    dtype = torch.float64 if change == "wide" else torch.float32
    standard = head.space.prior(dtype=dtype)
    loc, unit = standard.groups[1].mean.clone(), torch.eye(2, dtype=dtype)
    loc = (loc + (change == "moved")).requires_grad_(change == "learned")
    scale = unit * (2 if change == "scaled" else 1)
    entries = scale.flatten() if covariance == "full" else scale.diagonal()
    group = normal(loc, entries.expand(1, -1), covariance)
    prior = ProductDistribution([standard.groups[0], group], standard.positions)
    _, kl = head(features).rsample_and_kl(prior)
    expected = head.space.posterior(*head(features).parameters).kl_per_factor(prior)
    torch.testing.assert_close(kl, expected, rtol=1e-6, atol=1e-6)
    if change == "learned":
        (gradient,) = torch.autograd.grad(kl.sum(), loc)
        assert gradient.abs().max() > 0


def test_a_prior_on_other_spheres_is_refused() -> None:
    head, features = _head("4,2"), _features()
    with pytest.raises(ValueError, match="is not defined"):
        head(features).rsample_and_kl(ProductSpace.parse("5,2").prior(dtype=torch.float64))
