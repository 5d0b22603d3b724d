"""Every distribution goes through the same laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Distribution, kl_divergence

from sxvae import ProductSpace
from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)
from sxvae.distributions.rotational import RotationallySymmetric


def _directions(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def _instances() -> dict[str, Distribution]:
    generator = torch.random.get_rng_state()
    torch.manual_seed(3)
    k = torch.tensor([[0.0, 1.0, 20.0], [3.0, 1e3, 0.5]], dtype=torch.float64)
    mixed = ProductSpace.parse("4,1,4,2", "vmf,power-spherical,spherical-cauchy,vmf")
    instances = {
        "circle": VonMisesFisher(_directions(2, 3, 2), k),
        "sphere": VonMisesFisher(_directions(2, 3, 3), k),
        "broadcast": VonMisesFisher(_directions(7), k),
        "power circle": PowerSpherical(_directions(2, 3, 2), k),
        "power sphere": PowerSpherical(_directions(2, 3, 4), k),
        "cauchy circle": SphericalCauchy(_directions(2, 3, 2), k),
        "cauchy sphere": SphericalCauchy(_directions(2, 3, 4), k),
        "uniform": HypersphericalUniform(3, (2, 3), dtype=torch.float64),
        "product": mixed.posterior(
            mixed.normalize(torch.randn(2, 3, mixed.ambient, dtype=torch.float64)),
            torch.rand(2, 3, 4, dtype=torch.float64) * 5,
        ),
    }
    torch.random.set_rng_state(generator)
    return instances


INSTANCES = _instances()


@pytest.fixture(params=list(INSTANCES))
def q(request: pytest.FixtureRequest) -> Distribution:
    return INSTANCES[request.param]


def test_shapes(q: Distribution) -> None:
    assert q.batch_shape == (2, 3)
    for sample_shape in ((), (4,), (5, 4)):
        x = q.rsample(sample_shape)
        assert x.shape == (*sample_shape, 2, 3, *q.event_shape)
        assert q.log_prob(x).shape == (*sample_shape, 2, 3)
    assert q.mean.shape == q.variance.shape == (2, 3, *q.event_shape)
    assert q.entropy().shape == (2, 3)


def test_expand(q: Distribution) -> None:
    wide = q.expand((4, 2, 3))
    assert type(wide) is type(q)
    assert wide.batch_shape == (4, 2, 3)
    x = wide.sample()
    torch.testing.assert_close(wide.log_prob(x), q.log_prob(x))
    torch.testing.assert_close(wide.entropy()[1], q.entropy())


def test_entropy_is_the_mean_of_minus_log_prob(q: Distribution) -> None:
    """At 5 standard errors, six numbers an instance: a false alarm in 50,000 runs."""
    count = 20_000
    values = -q.log_prob(q.sample((count,)))
    standard_error = values.std(dim=0) / math.sqrt(count)
    assert ((values.mean(dim=0) - q.entropy()).abs() <= 5 * standard_error + 1e-9).all()


def test_moments(q: Distribution) -> None:
    count = 20_000
    x = q.sample((count,))
    error = (x.mean(dim=0) - q.mean).abs()
    assert (error <= 5.5 * (q.variance / count).sqrt() + 1e-12).all()
    torch.testing.assert_close(x.var(dim=0), q.variance, rtol=0.1, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in INSTANCES if name != "product"])
def test_density_integrates_to_one(name: str) -> None:
    """The integral is estimated by samples of the uniform distribution: k must not be too large."""
    q = INSTANCES[name]
    uniform = HypersphericalUniform(q.event_shape[0] - 1, (2, 3), dtype=torch.float64)
    count = 100_000
    x = uniform.sample((count,))
    weights = (q.log_prob(x) - uniform.log_prob(x)).exp()
    near = q.entropy() > uniform.entropy() - 2
    assert near.any()
    error = (weights.mean(dim=0) - 1).abs() / (weights.std(dim=0) / math.sqrt(count) + 1e-9)
    assert (error[near] < 5).all()


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical, SphericalCauchy])
@pytest.mark.parametrize("ambient", [2, 5, 41, 50])
@pytest.mark.parametrize("concentration", [0.1, 1.0, 12.0, 1_000.0])
def test_importance_weights_are_unbiased(
    family: type[RotationallySymmetric], ambient: int, concentration: float
) -> None:
    """If p(x given z) is 1, the estimate is 0 where the KL is small, and never above 0."""
    repeats, samples = 400, 200
    k = torch.full((repeats,), concentration, dtype=torch.float64)
    q = family(_directions(ambient), k)
    z = q.sample((samples,))
    prior = HypersphericalUniform(ambient - 1, dtype=torch.float64)
    weights = prior.log_prob(z) - q.log_prob(z)
    estimates = torch.logsumexp(weights, dim=0) - math.log(samples)
    mean, standard_error = estimates.mean(), estimates.std() / math.sqrt(repeats)
    assert mean < 4 * standard_error
    if kl_divergence(q, prior)[0] <= 0.1:  # where the bound's own bias is far below the error
        assert mean > -4 * standard_error - 1e-3
