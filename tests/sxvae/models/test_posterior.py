from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.distributions import ProductDistribution
from sxvae.kernels.constants import SCALE_FLOOR
from sxvae.models.parameters import head_layout
from sxvae.models.posterior import LearnedRadius, PosteriorHead
from sxvae_runtime.factors import Covariance

COVARIANCES: tuple[Covariance, ...] = get_args(Covariance)


def _space(covariance: Covariance = "diagonal") -> ProductSpace:
    return ProductSpace((3, 2, 2), ("normal", "vmf", "normal"), covariance)


@pytest.mark.parametrize(
    ("covariance", "widths"), [("single", [1, 0, 1]), ("diagonal", [3, 0, 2]), ("full", [9, 0, 4])]
)
def test_layout(covariance: Covariance, widths: list[int]) -> None:
    space = _space(covariance)
    assert [factor.scales for factor in space.factors] == widths
    loc, concentration, scale = PosteriorHead(5, space)(torch.randn(4, 5)).parameters
    assert loc.shape == (4, 8)
    assert concentration.shape == (4, 1)
    assert scale.shape == (4, sum(widths))
    torch.testing.assert_close(loc[:, 3:6].norm(dim=-1), torch.ones(4))
    free = loc[:, [0, 1, 2, 6, 7]]
    assert not torch.allclose(free.norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("size", [1.0, 1_000.0])
def test_scales_are_those_of_a_distribution(covariance: Covariance, size: float) -> None:
    """Positive standard deviations, or a lower-triangular factor with a positive diagonal."""
    space = _space(covariance)
    head = PosteriorHead(5, space)
    loc, concentration, scale = head(size * torch.randn(50, 5)).parameters
    widths = [space.factors[index].scales for index in space.euclidean]
    for index, part in zip(space.euclidean, scale.split(widths, dim=-1), strict=True):
        if covariance != "full":
            assert (part >= SCALE_FLOOR).all()
            continue
        dim = space.factors[index].dim
        rows = part.unflatten(-1, (dim, dim))
        assert (rows.diagonal(dim1=-2, dim2=-1) >= SCALE_FLOOR).all()
        assert (rows.triu(1) == 0).all()
        assert (rows.tril(-1).flatten(-2).abs().sum(dim=0) > 0).sum() == dim * (dim - 1) / 2
    posterior = space.posterior(loc, concentration, scale)
    assert posterior.log_prob(posterior.rsample()).isfinite().all()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_each_scale_belongs_to_its_own_factor(covariance: Covariance) -> None:
    """Distinct columns come out in the right factor of `space.posterior`, and only there."""
    space = _space(covariance)
    loc = space.normalize(torch.ones(1, space.ambient))
    concentration = torch.ones(1, 1)
    first = {"single": [0.5], "diagonal": [0.5, 0.6, 0.7]}
    second = {"single": [2.0], "diagonal": [2.0, 3.0]}
    if covariance == "full":
        columns = [0.5, 0, 0, 0.1, 0.6, 0, 0.2, 0.3, 0.7, 2.0, 0, 1.0, 3.0]
        variances = [0.25, 0.37, 0.62, 4.0, 10.0]
    else:
        columns = [*first[covariance], *second[covariance]]
        single = covariance == "single"
        variances = [0.25] * 3 + [4.0] * 2 if single else [0.25, 0.36, 0.49, 4.0, 9.0]
    variance = space.posterior(loc, concentration, torch.tensor([columns])).variance[0]
    torch.testing.assert_close(variance[[0, 1, 2, 6, 7]], torch.tensor(variances))


def test_no_spheres_and_no_normal_factors_mean_empty_parameters() -> None:
    head = PosteriorHead(5, ProductSpace([3], ["normal"]))
    loc, concentration, scale = head(torch.randn(2, 5)).parameters
    assert (loc.shape, concentration.shape, scale.shape) == ((2, 3), (2, 0), (2, 3))
    head = PosteriorHead(5, ProductSpace([3]))
    loc, concentration, scale = head(torch.randn(2, 5)).parameters
    assert (loc.shape, concentration.shape, scale.shape) == ((2, 4), (2, 1), (2, 0))


def test_a_missing_scale_is_refused() -> None:
    space = _space()
    with pytest.raises(ValueError, match=r"R\^3 x S\^2 x R\^2 needs a scale"):
        space.posterior(space.normalize(torch.randn(1, 8)), torch.ones(1, 1))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_parameters_are_read_back_from_a_posterior(covariance: Covariance) -> None:
    space = ProductSpace((3, 2, 2, 1), ("normal", "vmf", "normal", "power-spherical"), covariance)
    given = PosteriorHead(5, space)(torch.randn(4, 5)).parameters
    for ours, theirs in zip(space.parameters(space.posterior(*given)), given, strict=True):
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="not a posterior over"):
        space.parameters(ProductSpace.parse("2").posterior(torch.ones(1, 3), torch.ones(1, 1)))


def test_a_seed_gives_the_weights_that_separate_layers_would_have() -> None:
    space = _space("full")
    torch.manual_seed(3)
    layers = [nn.Linear(5, width) for width in (space.ambient, 1, 6 + 3)]
    torch.manual_seed(3)
    linear = PosteriorHead(5, space).linear
    assert torch.equal(linear.weight, torch.cat([layer.weight for layer in layers]))
    assert torch.equal(linear.bias, torch.cat([layer.bias for layer in layers]))


@pytest.mark.parametrize("families", ["vmf", "vmf,normal,power-spherical"])
def test_a_posterior_keeps_its_gradients_when_it_is_first_used_without(families: str) -> None:
    head = PosteriorHead(5, ProductSpace.parse("2,2,1", families))
    posterior = head(torch.randn(4, 5))
    posterior.sample()
    posterior.rsample().square().mean().backward()
    posterior = head(torch.randn(4, 5))
    with torch.no_grad():
        assert not posterior.rsample().requires_grad
    assert posterior.parameters.loc.requires_grad
    assert posterior.expand((3, 4)).rsample().shape == (3, 4, head.space.ambient)
    posterior = head(torch.randn(4, 5))
    with torch.inference_mode():
        assert not posterior.mean.requires_grad
    posterior.kl_per_factor(head.space.prior()).sum().backward()


@pytest.mark.parametrize("families", ["vmf", "vmf,normal,power-spherical"])
@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a .functools.lru_cache")
def test_encoding_is_one_graph_for_pytorchs_compilers(families: str) -> None:
    class Loc(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.head = PosteriorHead(5, ProductSpace.parse("2,2,1", families))

        def forward(self, features: Tensor) -> Tensor:
            loc: Tensor = self.head(features).parameters.loc
            return loc

    features = torch.randn(4, 5)
    # Each model is new, so that nothing has been computed before the compiler sees it.
    compiled = torch.compile(Loc(), backend="eager", fullgraph=True)(features)
    exported = torch.export.export(Loc(), (features,), strict=True).module()(features)
    for found in (compiled, exported):
        torch.testing.assert_close(found, Loc()(features))


def test_learned_radius_scales_the_spheres_only() -> None:
    radius = LearnedRadius(ProductSpace((2, 3, 1), ("vmf", "normal", "power-spherical")))
    z = torch.randn(4, 8)
    torch.testing.assert_close(radius(z), z)  # it starts at 1
    with torch.no_grad():
        radius.log_radius.copy_(torch.tensor([2.0, 0.5]).log())
    torch.testing.assert_close(radius.radius, torch.tensor([2.0, 0.5]))
    by_hand = z * torch.tensor([2.0, 2, 2, 1, 1, 1, 0.5, 0.5])
    torch.testing.assert_close(radius(z), by_hand)
    radius(z).square().sum().backward()
    assert radius.log_radius.grad is not None
    assert (radius.log_radius.grad != 0).all()


def _with_radius(dims: str, distribution: str, radius: list[float]) -> ProductSpaceVAE:
    space = ProductSpace.parse(dims, distribution)
    model = ProductSpaceVAE(space, (1, 2, 2), (8,), learn_radius=True).double()
    assert model.radius is not None
    with torch.no_grad():
        model.radius.log_radius.copy_(torch.tensor(radius).log())
    return model


def _log_prob_on_scaled_spheres(
    distribution: ProductDistribution, scaled: Tensor, model: ProductSpaceVAE
) -> Tensor:
    """The log-density of z' = r z with respect to the scaled spheres' own area measure.

    The map scales area by r^m, so that the density at r z is the density at z over r^m.
    """
    assert model.radius is not None
    spheres = [model.space.factors[index] for index in model.space.spheres]
    areas = zip(spheres, model.radius.radius.tolist(), strict=True)
    log_area = sum(factor.dim * math.log(radius) for factor, radius in areas)
    on_unit_spheres = scaled / model.radius(torch.ones_like(scaled))
    return distribution.log_prob(on_unit_spheres) - log_area


def test_the_log_terms_of_the_radius_cancel() -> None:
    """KL and importance weights on spheres of radius r are those on unit spheres."""
    model = _with_radius("2,3,4", "vmf,normal,power-spherical", [2.5, 0.4])
    assert model.radius is not None
    x = torch.bernoulli(torch.full((5, 1, 2, 2), 0.5)).double()
    with torch.no_grad():
        posterior, prior = model.encode(x), model.prior()
        z = posterior.sample((1_000,))
        scaled = model.radius(z)
        q, p = (
            _log_prob_on_scaled_spheres(distribution, scaled, model)
            for distribution in (posterior, prior)
        )
        # Each of the two densities changes, by the same 2 log 2.5 + 4 log 0.4 ...
        log_area = 2 * math.log(2.5) + 4 * math.log(0.4)
        torch.testing.assert_close(q, posterior.log_prob(z) - log_area)
        # ... so that their ratio, in every importance weight, does not,
        torch.testing.assert_close(p - q, prior.log_prob(z) - posterior.log_prob(z))
        # and KL, the mean of that ratio, is the closed form on unit spheres.
        ratio = q - p
        kl = posterior.kl_per_factor(prior).sum(dim=-1)
        standard_error = ratio.std(dim=0) / math.sqrt(len(z))
        assert ((ratio.mean(dim=0) - kl).abs() < 5 * standard_error).all()


@pytest.mark.parametrize("radius", [0.3, 2.5])
def test_log_likelihood_with_a_radius_equals_the_integral_on_a_circle(radius: float) -> None:
    """The circle has radius r, its uniform prior the density 1 / (2 pi r), an arc r dt."""
    model = _with_radius("1", "vmf", [radius])
    with torch.no_grad():
        concentrations = head_layout(model.space).concentration
        model.head.linear.bias[concentrations] = -10  # a wide posterior, which covers the circle
        for layer in model.decoder.modules():  # a decoder that the radius matters to
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2)
    x = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 1]]).double().reshape(2, 1, 2, 2)
    count = 10_000
    angles = torch.arange(count).double() * (2 * math.pi / count)
    unit = torch.stack([angles.cos(), angles.sin()], dim=-1)
    with torch.no_grad():

        def integral(r: float) -> Tensor:
            given_z = model.likelihood(model.decoder(r * unit)[:, None]).log_prob(x)
            arc, density = r * 2 * math.pi / count, 1 / (2 * math.pi * r)
            return torch.logsumexp(given_z, dim=0) + math.log(arc * density)

        exact = integral(radius)
        assert (exact - integral(1.0)).abs().max() > 0.05
    terms = model.importance_terms(x, 200_000)
    # 5 standard errors, some 0.01 nat.
    assert ((terms.log_likelihood - exact).abs() < 5 / terms.effective_samples.sqrt()).all()
    assert (terms.effective_samples > 50_000).all()
