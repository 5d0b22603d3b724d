"""Training steps in reduced precision and under autocast."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import Tensor, nn

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.distributions.precision import promoted_distribution

REDUCED = [torch.float16, torch.bfloat16]
SPACES = {
    "fused": ProductSpace.parse("4,2,4"),
    "mixed": ProductSpace.parse("2,3,2", "vmf,normal,power-spherical", covariance="full"),
}
LIKELIHOODS = ["bernoulli", "gaussian", "categorical"]


def _model(space: str, likelihood: str) -> ProductSpaceVAE:
    torch.manual_seed(0)
    shape, widths = (1, 6, 6), (16, 8)
    return ProductSpaceVAE(SPACES[space], shape, widths, likelihood=likelihood, learn_radius=True)  # type: ignore[arg-type]


def _images() -> Tensor:
    torch.manual_seed(1)
    return torch.bernoulli(torch.full((9, 1, 6, 6), 0.3))


def _check_step(model: ProductSpaceVAE, x: Tensor, dtype: torch.dtype, autocast: object) -> None:
    with autocast:  # type: ignore[attr-defined]
        torch.manual_seed(2)
        terms = model.elbo(x)
        bound = model.importance_weighted_bound(x, 3)
        estimate = model.importance_log_likelihood(x, 7)
        posterior = model.encode(x)
        assert model.decode(posterior.rsample()).mean.shape == x.shape
    for value in (*terms, *bound, posterior.rsample(), posterior.mean, posterior.entropy()):
        assert value.dtype == dtype
        assert value.isfinite().all()
    assert estimate.dtype == torch.float64
    (terms.elbo.mean() + bound.elbo.mean()).backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.dtype == parameter.dtype
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", [*REDUCED, torch.float64])
def test_a_step_in_a_type_gives_that_type(space: str, likelihood: str, dtype: torch.dtype) -> None:
    model = _model(space, likelihood).to(dtype)
    _check_step(model, _images().to(dtype), dtype, contextlib.nullcontext())


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", REDUCED)
def test_a_step_under_autocast_gives_float32(
    space: str, likelihood: str, dtype: torch.dtype
) -> None:
    model = _model(space, likelihood)
    _check_step(model, _images(), torch.float32, torch.autocast("cpu", dtype))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", REDUCED)
def test_reduced_metrics_are_near_those_of_float32(space: str, dtype: torch.dtype) -> None:
    model, x = _model(space, "bernoulli"), _images()
    torch.manual_seed(2)
    expected = model.importance_terms(x, 200)
    torch.manual_seed(2)
    found = model.to(dtype).importance_terms(x.to(dtype), 200)
    for value, other in zip(found[:3], expected[:3], strict=True):
        torch.testing.assert_close(value.double(), other.double(), rtol=0.02, atol=0.05)


class _Reduced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(36, 8).bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x.flatten(1).bfloat16())
        return features


def test_custom_networks_may_give_features_in_bfloat16() -> None:
    decoder = nn.Sequential(nn.Linear(13, 36), nn.Unflatten(1, (1, 6, 6)))
    model = ProductSpaceVAE(SPACES["fused"], (1, 6, 6), encoder=_Reduced(), decoder=decoder)
    terms = model.elbo(_images())
    terms.elbo.mean().backward()
    assert terms.kl.dtype == torch.float32
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("dtype", REDUCED)
def test_the_fused_posterior_gives_what_its_distributions_give(dtype: torch.dtype) -> None:
    posterior = _model("fused", "bernoulli").to(dtype).encode(_images().to(dtype))
    prior = SPACES["fused"].prior(dtype=dtype)
    torch.manual_seed(3)
    z, kl = posterior.rsample_and_kl(prior)
    torch.manual_seed(3)
    assert z.dtype == kl.dtype == dtype
    assert torch.equal(z, posterior.rsample())
    assert torch.equal(kl, posterior.kl_per_factor(prior))
    assert promoted_distribution(posterior).kl_per_factor(prior).dtype == torch.float32
