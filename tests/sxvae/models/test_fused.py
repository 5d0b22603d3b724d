"""The fused operation gives the samples, KL and gradients of the separate distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sxvae import ProductSpace
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
MIXED = [
    ("4,1,4,2,3,4,2", "vmf,spherical-cauchy,power-spherical,normal,normal,vmf,normal", covariance)
    for covariance in ("single", "full")
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


@pytest.mark.parametrize("dims", ["4,4", "3,1,3,8,1"])
def test_blocks_change_nothing(dims: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head, features = _head(dims), _features()
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


@pytest.mark.parametrize("families", ["power-spherical", "normal", "vmf,normal"])
def test_other_families_go_by_their_distributions(families: str) -> None:
    head, features = _head("3,2", families), _features()
    torch.manual_seed(4)
    z, kl = _fused(head, features)
    torch.manual_seed(4)
    expected = _by_distributions(head, features)
    assert torch.equal(z, expected[0])
    assert torch.equal(kl, expected[1])


def test_second_derivatives_are_refused() -> None:
    head, features = _head("4,4"), _features()
    z, kl = _fused(head, features)
    (gradient,) = torch.autograd.grad(z.sum() + kl.sum(), features, create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        gradient.sum().backward()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_concentrations_that_are_not_finite_are_refused(value: float) -> None:
    head, features = _head("4,4"), _features()
    with torch.no_grad():
        head.linear.bias[head_layout(head.space).concentration][1] = value
    with pytest.raises(NumericalError, match=r"R\^5 .* 40 of 80 are not"):
        _fused(head, features)


def test_all_random_numbers_come_from_pytorch() -> None:
    head, features = _head("4,4"), _features()
    with torch.no_grad():
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(_fused(head, features)[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.isclose(draws[0], draws[2]).any()


def test_no_image_gives_no_sample() -> None:
    head, features = _head("4,2"), _features()[:0]
    z, kl = _fused(head, features)
    assert z.shape == (0, 8)
    assert kl.shape == (0, 2)
    (z.sum() + kl.sum()).backward()
    gradient = head.linear.weight.grad
    assert gradient is not None
    assert not gradient.any()


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


def test_a_prior_on_other_spheres_is_refused() -> None:
    head, features = _head("4,2"), _features()
    with pytest.raises(ValueError, match="is not defined"):
        head(features).rsample_and_kl(ProductSpace.parse("5,2").prior(dtype=torch.float64))
