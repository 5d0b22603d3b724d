from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

from sxvae import ProductSpace
from sxvae.distributions import HypersphericalUniform, ProductDistribution, VonMisesFisher

SPACE = ProductSpace.parse("4,1,4,2,1")


def _parameters(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    loc = SPACE.normalize(torch.randn(batch, SPACE.ambient, dtype=torch.float64))
    return loc, torch.rand(batch, len(SPACE.factors), dtype=torch.float64) * 50


def test_factors_keep_the_users_order() -> None:
    """Everything per factor equals that of a factor on its own, whatever the grouping."""
    loc, concentration = _parameters(6)
    product = SPACE.posterior(loc, concentration)
    prior = SPACE.prior(dtype=torch.float64)
    z = product.sample()
    for index, factor in enumerate(SPACE.factors):
        alone = VonMisesFisher(loc[:, factor.slice], concentration[:, index])
        uniform = HypersphericalUniform(factor.dim, dtype=torch.float64)
        torch.testing.assert_close(product.mean[:, factor.slice], alone.mean)
        torch.testing.assert_close(product.mode[:, factor.slice], alone.mode)
        torch.testing.assert_close(product.variance[:, factor.slice], alone.variance)
        torch.testing.assert_close(
            product.log_prob_per_factor(z)[:, index], alone.log_prob(z[:, factor.slice])
        )
        torch.testing.assert_close(
            product.kl_per_factor(prior)[:, index], kl_divergence(alone, uniform)
        )
    torch.testing.assert_close(product.log_prob(z), product.log_prob_per_factor(z).sum(dim=-1))
    torch.testing.assert_close(
        kl_divergence(product, prior), product.kl_per_factor(prior).sum(dim=-1)
    )
    entropies = product.per_factor(lambda group: group.entropy())
    torch.testing.assert_close(product.entropy(), entropies.sum(dim=-1))
    torch.testing.assert_close(
        entropies[:, 3],
        VonMisesFisher(loc[:, SPACE.factors[3].slice], concentration[:, 3]).entropy(),
    )


def test_samples_lie_on_every_sphere_around_their_own_direction() -> None:
    loc, concentration = _parameters(4)
    z = SPACE.posterior(loc, torch.full_like(concentration, 1e8)).sample((3,))
    for factor in SPACE.factors:
        torch.testing.assert_close(
            z[..., factor.slice], loc[:, factor.slice].expand(3, 4, -1), atol=2e-3, rtol=0
        )


def test_equal_factors_are_one_group() -> None:
    loc, concentration = _parameters(2)
    product = SPACE.posterior(loc, concentration)
    assert [group.batch_shape[-1] for group in product.groups] == [2, 2, 1]


def test_gradients_reach_every_parameter() -> None:
    loc, concentration = _parameters(3)
    loc.requires_grad_()
    concentration.requires_grad_()
    SPACE.posterior(loc, concentration).rsample().square().mul(torch.arange(17)).sum().backward()
    assert loc.grad is not None
    assert concentration.grad is not None
    assert (concentration.grad != 0).all()


def test_refusals() -> None:
    group = HypersphericalUniform(4, (2,))
    with pytest.raises(ValueError, match="positions"):
        ProductDistribution([group], [(0,)])
    with pytest.raises(ValueError, match=r"each of 0\.\.n-1 once"):
        ProductDistribution([group], [(0, 2)])
    with pytest.raises(ValueError, match="same factors"):
        SPACE.prior().kl_per_factor(ProductSpace.parse("4,4").prior())


def test_support() -> None:
    z = SPACE.prior(dtype=torch.float64).sample((3,))
    z[1, SPACE.factors[1].slice] *= 1.5
    support = SPACE.prior().support
    assert support is not None
    assert support.check(z).tolist() == [True, False, True]
