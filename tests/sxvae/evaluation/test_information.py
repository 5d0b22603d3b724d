"""Mutual information and marginal KL against integrals and sums that SciPy computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, evaluate
from sxvae.distributions import ProductDistribution
from sxvae.evaluation.information import (
    aggregate_log_density,
    collapsed_by_images,
    information_terms,
    joined_parameters,
)
from sxvae.spaces import PosteriorParameters

Density = Callable[[float, float, float], float]


def _parameters(space: ProductSpace, n: int, seed: int = 0) -> PosteriorParameters:
    """Posteriors of n images, in float64."""
    draw = torch.Generator().manual_seed(seed)
    loc = space.normalize(torch.randn(n, space.ambient, generator=draw, dtype=torch.float64))
    concentration = 1 + 20 * torch.rand(n, len(space.spheres), generator=draw, dtype=torch.float64)
    scale = 0.2 + torch.rand(n, space.scales, generator=draw, dtype=torch.float64)
    return PosteriorParameters(loc, concentration, scale)


def _power(angle: float, mean: float, k: float) -> float:
    return float((1 + math.cos(angle - mean)) ** k)


def _cauchy(angle: float, mean: float, k: float) -> float:
    """The wrapped Cauchy distribution whose log-density has the slope k at its mode."""
    a = 1 + 1 / k
    r = 1 / (a + math.sqrt(a**2 - 1))
    return (1 - r**2) / (1 + r**2 - 2 * r * math.cos(angle - mean))


CIRCLES: dict[str, Density] = {
    "vmf": lambda angle, mean, k: math.exp(k * math.cos(angle - mean)),
    "power-spherical": _power,
    "spherical-cauchy": _cauchy,
}


def _mixture_information(
    densities: list[Callable[[float], float]], low: float, high: float
) -> float:
    """The mutual information of a point with the index of the density that it comes from."""
    totals = [quad(density, low, high, limit=500)[0] for density in densities]

    def integrand(at: float) -> float:
        each = [density(at) / total for density, total in zip(densities, totals, strict=True)]
        mean = math.fsum(each) / len(each)
        return math.fsum(value * math.log(value / mean) for value in each if value) / len(each)

    return float(quad(integrand, low, high, limit=500)[0])


@pytest.mark.parametrize("family", CIRCLES)
def test_two_directions_on_a_circle(family: str) -> None:
    """Many images of two kinds: their number does not bound the information, their kinds do."""
    k, apart = 4.0, 1.5

    def around(mean: float) -> Callable[[float], float]:
        return lambda angle: CIRCLES[family](angle, mean, k)

    expected = _mixture_information([around(0.0), around(apart)], -math.pi, math.pi)
    space = ProductSpace([1], [family])
    angles = torch.tensor([0.0, apart], dtype=torch.float64).repeat(300)
    loc = torch.stack([angles.cos(), angles.sin()], dim=-1)
    concentration = torch.full((600, 1), k, dtype=torch.float64)
    _, terms = information_terms(PosteriorParameters(loc, concentration, loc[:, :0]), space)
    error = (terms.std(dim=0) / math.sqrt(600)).item()
    assert 0 < error < 0.02
    assert abs(terms.mean().item() - expected) < 4 * error


def test_a_normal_factor_with_a_normal_aggregate() -> None:
    """Means from N(0, 1 - s^2) and deviations s have the aggregate N(0, 1): I = -log s."""
    n, s = 3_000, 0.3
    means = math.sqrt(1 - s**2) * stats.norm.ppf((np.arange(n) + 0.5) / n)
    loc = torch.from_numpy(means)[:, None]
    space = ProductSpace([1], ["normal"], "single")
    parameters = PosteriorParameters(loc, loc[:, :0], torch.full_like(loc, s))
    images, terms = information_terms(parameters, space)
    assert len(images) == len(images.unique()) == 2_048  # of many images some, each once
    error = (terms.std(dim=0) / math.sqrt(2_048)).item()
    assert error < 0.03
    assert abs(terms.mean().item() + math.log(s)) < 4 * error + 0.01  # 3,000 images, not infinity


def _numpy_densities(
    space: ProductSpace, parameters: PosteriorParameters, z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each factor's log-density at each point of each image's posterior: (factors, n, points)."""
    loc, concentration, scale = (values.numpy() for values in parameters)
    found, sphere, entry = [], 0, 0
    for factor in space.factors:
        means, at = loc[:, factor.slice], z[:, factor.slice]
        if factor.is_sphere:
            laws: list[Any] = [
                stats.vonmises_fisher(mean, k)
                for mean, k in zip(means, concentration[:, sphere], strict=True)
            ]
            sphere += 1
        else:
            matrices = scale[:, entry : entry + factor.scales].reshape(-1, factor.dim, factor.dim)
            laws = [
                stats.multivariate_normal(mean, np.tril(matrix) @ np.tril(matrix).T)
                for mean, matrix in zip(means, matrices, strict=True)
            ]
            entry += factor.scales
        found.append([law.logpdf(at) for law in laws])
    return np.array(found)


def test_the_aggregate_density_of_a_mixed_space() -> None:
    space = ProductSpace([4, 2, 3], ["vmf", "normal", "vmf"], "full")
    loc, concentration, scale = _parameters(space, 40)
    scale = scale.unflatten(-1, (2, 2)).tril().flatten(-2)
    parameters = PosteriorParameters(loc, concentration, scale)
    torch.manual_seed(0)
    z = space.posterior(*parameters).sample()
    found = aggregate_log_density(z, parameters, space)
    densities = _numpy_densities(space, parameters, z.numpy())
    expected = logsumexp(densities, axis=1).T - math.log(40)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_permuted_factors_have_permuted_figures() -> None:
    families = ["vmf", "power-spherical", "normal"]
    space, turned = (
        ProductSpace([4, 2, 3], families),
        ProductSpace([3, 4, 2], [families[2], *families[:2]]),
    )
    parameters = _parameters(space, 60)
    loc, concentration, scale = parameters
    order = [7 + 1, 7 + 2, 7 + 3, *range(8)]  # 5 and 3 coordinates, then 3
    permuted = PosteriorParameters(loc[:, order], concentration, scale)
    torch.manual_seed(0)
    z = space.posterior(*parameters).sample()
    found = aggregate_log_density(z, parameters, space)
    again = aggregate_log_density(z[:, order], permuted, turned)
    torch.testing.assert_close(again, found[:, [2, 0, 1]])
    means = [
        information_terms(*each)[1].mean(dim=0)
        for each in ((parameters, space), (permuted, turned))
    ]
    torch.testing.assert_close(means[1], means[0][[2, 0, 1]], rtol=0, atol=0.1)


def test_memory_bounds_the_blocks_and_changes_nothing() -> None:
    space = ProductSpace([4, 9], ["vmf", "spherical-cauchy"])
    parameters = _parameters(space, 150)
    sizes = []
    posterior = space.posterior

    def watched(*values: torch.Tensor) -> ProductDistribution:
        sizes.append(len(values[0]))
        return posterior(*values)

    terms = []
    for memory in (1, 64):
        torch.manual_seed(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(space, "posterior", watched)
            terms.append(information_terms(parameters, space, memory=memory)[1])
    torch.testing.assert_close(terms[0], terms[1], rtol=1e-9, atol=1e-9)
    assert min(sizes) < 150  # the images were compared in parts


def test_posteriors_far_apart_tell_all_images_apart() -> None:
    """The information is then the logarithm of their number, its largest value."""
    space = ProductSpace([9], ["vmf"])
    loc = _parameters(space, 50).loc
    parameters = PosteriorParameters(loc, torch.full((50, 1), 1e5).double(), loc[:, :0])
    _, terms = information_terms(parameters, space)
    torch.testing.assert_close(terms, torch.full((50, 1), math.log(50)).double())


def test_a_posterior_that_is_the_same_for_all_images_says_nothing(few_digits: ImageData) -> None:
    """It has a KL, all of which is the marginal KL."""
    torch.manual_seed(3)
    model = ProductSpaceVAE(ProductSpace.parse("4,2"), few_digits.image_shape, (16,))
    with torch.no_grad():
        model.head.linear.weight.zero_()
        model.head.linear.bias.fill_(2.0)
    metrics = evaluate(model, few_digits, samples=2)
    assert min(metrics.kl_per_factor) > 0.1
    assert metrics.mutual_information == pytest.approx([0, 0], abs=1e-6)
    assert metrics.marginal_kl == pytest.approx(metrics.kl_per_factor)
    assert metrics.collapsed == [True, True]
    assert metrics.active_factors == 0
    x = few_digits.for_evaluation("test").images(slice(None))
    assert collapsed_by_images(model, x) == (0, 1)
    assert collapsed_by_images(model, x[:1]) == ()


def test_posteriors_of_reduced_precision_are_compared_on_the_sphere(few_digits: ImageData) -> None:
    """Directions in bfloat16 have lengths off by 1e-3, which sharp densities would notice."""
    space = ProductSpace.parse("4,2")
    model = ProductSpaceVAE(space, few_digits.image_shape, (16,)).bfloat16()
    x = few_digits.for_evaluation("test").images(slice(None)).bfloat16()
    with torch.no_grad():
        loc = joined_parameters([model.encode(part) for part in x.split(40)], space).loc
    assert (loc.dtype, len(loc)) == (torch.float64, len(x))
    for factor in space.factors:
        lengths = loc[:, factor.slice].norm(dim=-1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-6)
