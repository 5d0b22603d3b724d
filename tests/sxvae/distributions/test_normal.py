from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from sxvae import ProductSpace
from sxvae.distributions import ProductDistribution
from sxvae.distributions.normal import normal
from sxvae_runtime.factors import Covariance

COVARIANCES: tuple[Covariance, ...] = get_args(Covariance)
# Normal factors between and around spheres, two of one dimension apart from each other.
DIMS, FAMILIES = (3, 2, 1, 3, 2), ("normal", "vmf", "normal", "normal", "power-spherical")


def _scale(dim: int, covariance: str, batch: int) -> Tensor:
    """Random scales, laid out as `Factor.scales` says."""
    if covariance != "full":
        return 0.3 + torch.rand(batch, 1 if covariance == "single" else dim, dtype=torch.float64)
    lower = torch.randn(batch, dim, dim, dtype=torch.float64).tril(-1)
    return (lower + torch.diag_embed(0.3 + torch.rand(batch, dim).double())).flatten(-2)


def _matrix(scale: Tensor, dim: int, covariance: str) -> np.ndarray:
    """The covariance matrix that one row of scales says."""
    if covariance == "full":
        factor = scale.numpy().reshape(dim, dim)
        return np.asarray(factor @ factor.T)
    return np.diag(np.broadcast_to(scale.numpy() ** 2, (dim,)))


def _kl_to_the_standard_normal(loc: np.ndarray, matrix: np.ndarray) -> float:
    log_det = np.linalg.slogdet(matrix).logabsdet
    return float(np.trace(matrix) + loc @ loc - len(loc) - log_det) / 2


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_log_prob_and_entropy_are_scipys(dim: int, covariance: str) -> None:
    loc, scale = torch.randn(4, dim, dtype=torch.float64), _scale(dim, covariance, 4)
    distribution = normal(loc, scale, covariance)
    assert (distribution.batch_shape, distribution.event_shape) == ((4,), (dim,))
    x = torch.randn(7, 4, dim, dtype=torch.float64)
    found = distribution.log_prob(x).numpy()
    for i in range(4):
        matrix = _matrix(scale[i], dim, covariance)
        theirs = scipy.stats.multivariate_normal(loc[i].numpy(), matrix)
        np.testing.assert_allclose(found[:, i], theirs.logpdf(x[:, i].numpy()), rtol=1e-12)
        np.testing.assert_allclose(distribution.entropy()[i], theirs.entropy(), rtol=1e-12)


def _mixed(covariance: Covariance, batch: int) -> tuple[ProductSpace, Tensor, Tensor, Tensor]:
    """A mixed space with random parameters: loc, concentration and scale."""
    space = ProductSpace(DIMS, FAMILIES, covariance)
    loc = space.normalize(torch.randn(batch, space.ambient, dtype=torch.float64))
    concentration = 1 + 5 * torch.rand(batch, len(space.spheres), dtype=torch.float64)
    parts = [_scale(space.factors[index].dim, covariance, batch) for index in space.euclidean]
    return space, loc, concentration, torch.cat(parts, dim=-1)


def _by_factor(space: ProductSpace, scale: Tensor) -> dict[int, Tensor]:
    """The columns of each Euclidean factor, by its index."""
    sizes = [space.factors[index].scales for index in space.euclidean]
    return dict(zip(space.euclidean, scale.split(sizes, dim=-1), strict=True))


def _mixed_posterior(covariance: Covariance) -> tuple[ProductSpace, ProductDistribution, Tensor]:
    space, loc, concentration, scale = _mixed(covariance, 1)
    return space, space.posterior(loc[0], concentration[0], scale[0]), scale[0]


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_normal_factors_keep_their_coordinates_in_a_mixed_product(covariance: Covariance) -> None:
    space, loc, concentration, scale = _mixed(covariance, 6)
    posterior, prior = space.posterior(loc, concentration, scale), space.prior(dtype=loc.dtype)
    z = posterior.sample((3,))
    assert bool(posterior.support.check(z).all())
    log_prob = posterior.log_prob_per_factor(z)
    prior_log_prob = prior.log_prob_per_factor(z)
    kl = posterior.kl_per_factor(prior)
    for (index, columns), i in itertools.product(_by_factor(space, scale).items(), range(6)):
        factor = space.factors[index]
        mine, matrix = (
            loc[i, factor.slice].numpy(),
            _matrix(columns[i], factor.dim, covariance),
        )
        part = z[:, i, factor.slice].numpy()
        theirs = scipy.stats.multivariate_normal(mine, matrix)
        standard = scipy.stats.multivariate_normal(np.zeros(factor.dim))
        np.testing.assert_allclose(log_prob[:, i, index], theirs.logpdf(part), rtol=1e-10)
        np.testing.assert_allclose(prior_log_prob[:, i, index], standard.logpdf(part), rtol=1e-10)
        expected = _kl_to_the_standard_normal(mine, matrix)
        np.testing.assert_allclose(kl[i, index], expected, rtol=1e-10)
    alone = ProductSpace([2], ["vmf"]).posterior(loc[:, 3:6], concentration[:, :1])
    torch.testing.assert_close(log_prob[..., 1], alone.log_prob(z[..., 3:6]))
    torch.testing.assert_close(
        posterior.entropy(), posterior.per_factor(lambda group: group.entropy()).sum(dim=-1)
    )


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_samples_have_the_stated_moments(covariance: Covariance) -> None:
    """5 standard errors over some 60 moments: a false alarm in 30,000 runs."""
    space, posterior, scale = _mixed_posterior(covariance)
    z = posterior.sample((40_000,))
    for index, columns in _by_factor(space, scale).items():
        factor = space.factors[index]
        part, loc = z[:, factor.slice].numpy(), posterior.mean[factor.slice].numpy()
        matrix = _matrix(columns, factor.dim, covariance)
        variances = np.diag(matrix)
        np.testing.assert_allclose(posterior.variance[factor.slice], variances, rtol=1e-12)
        error = (part.mean(axis=0) - loc) / np.sqrt(variances / len(part))
        assert np.abs(error).max() < 5
        # Var(s_ij) = (S_ii S_jj + S_ij^2) / n for the entries of a sample covariance.
        spread = np.sqrt((np.outer(variances, variances) + matrix**2) / len(part))
        centred = part - loc
        assert (np.abs(centred.T @ centred / len(part) - matrix) < 5 * spread).all()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gradients_reach_every_parameter(covariance: Covariance) -> None:
    """KL's own formula, differentiated by hand: loc for the mean, L - L^-T for the factor."""
    dim = 3
    loc = torch.randn(dim, dtype=torch.float64, requires_grad=True)
    scale = _scale(dim, covariance, 1)[0].requires_grad_()
    size = {"single": 1, "diagonal": dim, "full": dim * dim}[covariance]
    unit = torch.eye(dim).double().flatten() if covariance == "full" else torch.ones(size).double()
    standard = normal(torch.zeros(dim).double(), unit, covariance)
    kl = kl_divergence(normal(loc, scale, covariance), standard)
    by_loc, by_scale = torch.autograd.grad(kl, (loc, scale))
    torch.testing.assert_close(by_loc, loc.detach())
    if covariance == "full":
        factor = scale.detach().reshape(dim, dim)
        expected = (factor - torch.linalg.inv(factor).T.tril()).flatten()
        torch.testing.assert_close(by_scale.reshape(dim, dim).tril().flatten(), expected)
    else:
        times = dim if covariance == "single" else 1
        torch.testing.assert_close(by_scale, times * (scale - 1 / scale).detach())


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_samples_carry_gradients(covariance: Covariance) -> None:
    """z = loc + scale * noise, so d(sum z)/d loc is one and scale's gradient gives the noise."""
    loc = torch.randn(2, dtype=torch.float64, requires_grad=True)
    scale = _scale(2, covariance, 1)[0].requires_grad_()
    distribution = normal(loc, scale, covariance)
    assert distribution.has_rsample
    z = distribution.rsample((5,))
    by_loc, by_scale = torch.autograd.grad(z.sum(), (loc, scale))
    torch.testing.assert_close(by_loc, torch.full_like(loc, 5))
    matrix = {
        "single": lambda: scale * torch.eye(2).double(),
        "diagonal": lambda: torch.diag(scale),
        "full": lambda: scale.reshape(2, 2),
    }[covariance]()
    noise = torch.linalg.solve(matrix.detach(), (z - loc).detach().T).T.sum(dim=0)
    expected = {
        "single": lambda: noise.sum()[None],
        "diagonal": lambda: noise,
        "full": lambda: noise.repeat(2),
    }[covariance]()
    torch.testing.assert_close(by_scale, expected)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_vmap_draws_for_each_example(covariance: str) -> None:
    """The noise is that of PyTorch's own distributions, which vmap can't draw for each example."""
    loc, scale = torch.zeros(3, 2, dtype=torch.float64), _scale(2, covariance, 1).expand(3, -1)

    def draw(loc: Tensor, scale: Tensor) -> Tensor:
        return normal(loc, scale, covariance).rsample()

    drawn = torch.vmap(draw, randomness="different")(loc, scale)
    assert len(drawn.unique()) == 6
    torch.manual_seed(3)
    found = draw(loc, scale)
    torch.manual_seed(3)
    factor = torch.linalg.cholesky(torch.from_numpy(_matrix(scale[0], 2, covariance)))
    noise = torch.randn(3, 2, dtype=torch.float64)
    torch.testing.assert_close(found, noise @ factor.T)
