from __future__ import annotations

import os
import pickle  # noqa: TID251 (as multiprocessing does)
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sxvae import ProductSpace
from sxvae.errors import ConfigError
from sxvae_runtime.factors import COVARIANCES, Covariance, Factor
from sxvae_runtime.families import FAMILIES


def test_parse() -> None:
    space = ProductSpace.parse("4, 2,4")
    assert space.dims == (4, 2, 4)
    assert space.families == ("vmf", "vmf", "vmf")
    assert space.ambient == 13
    assert [factor.offset for factor in space.factors] == [0, 5, 8]
    assert str(space) == "S^4 x S^2 x S^4"
    assert space.slug == "S4xS2xS4"
    assert space == ProductSpace((4, 2, 4))


@pytest.mark.parametrize("text", ["", "0,4", "a,b", "-1", "4,,4", "4.5", ","])
def test_bad_dimensions_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProductSpace.parse(text)
    assert "\n" not in str(caught.value)


def test_bad_families_are_refused() -> None:
    with pytest.raises(ConfigError, match="'gauss' is not known"):
        ProductSpace.parse("4", distribution="gauss")
    mixed = ProductSpace.parse("4,4,2", distribution="vmf, power-spherical,vmf")
    assert mixed.families == ("vmf", "power-spherical", "vmf")
    assert list(mixed.groups.values()) == [(0,), (1,), (2,)]
    with pytest.raises(ConfigError, match="2 distributions do not fit 3"):
        ProductSpace.parse("4,4,4", distribution="vmf,vmf")


@given(st.lists(st.integers(min_value=1, max_value=12), min_size=1, max_size=8))
def test_normalize_puts_every_factor_on_its_sphere_in_place(dims: list[int]) -> None:
    space = ProductSpace(dims)
    raw = torch.randn(3, space.ambient, dtype=torch.float64)
    unit = space.normalize(raw)
    assert sum(map(len, space.groups.values())) == len(dims)
    for factor in space.factors:
        part = raw[:, factor.slice]
        expected = part / part.norm(dim=-1, keepdim=True)
        torch.testing.assert_close(unit[:, factor.slice], expected)


def test_normal_factors_are_euclidean() -> None:
    space = ProductSpace.parse("4,8,4", "vmf,normal,power-spherical", "full")
    assert str(space) == "S^4 x R^8 x S^4"
    assert space.slug == "S4xR8xS4"
    assert [factor.ambient for factor in space.factors] == [5, 8, 5]
    assert [factor.offset for factor in space.factors] == [0, 5, 13]
    assert (space.ambient, space.scales) == (18, 64)
    assert (space.spheres, space.euclidean) == ((0, 2), (1,))
    assert [factor.covariance for factor in space.factors] == [None, "full", None]
    assert space.factors[1] == Factor("normal", 8, 5, "full")
    assert space.factors[1].slice == slice(5, 13)


@pytest.mark.parametrize(("covariance", "scales"), [("single", 2), ("diagonal", 5), ("full", 13)])
def test_scales_of_each_covariance(covariance: Covariance, scales: int) -> None:
    assert ProductSpace([3, 2], ["normal"], covariance).scales == scales


def test_spaces_of_other_covariances_are_others() -> None:
    diagonal = ProductSpace([3], ["normal"], "diagonal")
    full = ProductSpace([3], ["normal"], "full")
    assert diagonal != full
    assert ProductSpace([3], ["normal"]) == diagonal
    assert hash(ProductSpace([3], ["normal"])) == hash(diagonal)
    assert ProductSpace([3], ["vmf"]) == ProductSpace([3], ["vmf"], "full")  # spheres have none
    assert repr(full) == "ProductSpace([3], ['normal'], 'full')"


def test_a_space_from_another_process_is_the_same() -> None:
    """Texts have another hash in each process, which a pickled hash would not follow."""
    code = (
        "import pickle, sys; from sxvae import ProductSpace; "
        "sys.stdout.buffer.write(pickle.dumps(ProductSpace((3, 2), ('normal', 'vmf'), 'full')))"
    )
    space = ProductSpace((3, 2), ("normal", "vmf"), "full")
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        pickled = subprocess.check_output([sys.executable, "-c", code], env=environment)
        assert pickle.loads(pickled) == space
        assert hash(pickle.loads(pickled)) == hash(space)


def test_bad_covariances_are_refused() -> None:
    with pytest.raises(ConfigError, match="'banded' is not known; choose from single, diagonal"):
        ProductSpace.parse("3", "normal", "banded")  # type: ignore[arg-type]


_MIXED = st.lists(
    st.tuples(st.integers(min_value=1, max_value=5), st.sampled_from(FAMILIES)),
    min_size=1,
    max_size=7,
)


@settings(max_examples=25, deadline=None)  # the first example pays for PyTorch's start
@given(_MIXED, st.sampled_from(COVARIANCES))
def test_every_factor_keeps_its_own_parameters(
    factors: list[tuple[int, str]], covariance: Covariance
) -> None:
    """In any mixture a factor's part of the product is the factor alone."""
    space = ProductSpace([m for m, _ in factors], [family for _, family in factors], covariance)
    raw = torch.randn(2, space.ambient, dtype=torch.float64)
    loc = space.normalize(raw)
    for index in space.euclidean:
        part = space.factors[index].slice
        torch.testing.assert_close(loc[:, part], raw[:, part])
    concentration = 1 + 5 * torch.rand(2, len(space.spheres)).double()
    scale = torch.cat([torch.zeros(2, 0), *(_scales(space.factors[p]) for p in space.euclidean)], 1)
    posterior = space.posterior(loc, concentration, scale.double())
    prior = space.prior(dtype=torch.float64)
    z = posterior.sample()
    log_prob = posterior.log_prob_per_factor(z)
    kl = posterior.kl_per_factor(prior)
    start = 0
    for index, factor in enumerate(space.factors):
        alone = ProductSpace([factor.dim], [factor.family], covariance)
        own = slice(start, start + factor.scales)
        start = own.stop
        spheres_before = sum(p < index for p in space.spheres)
        columns = slice(spheres_before, spheres_before + factor.is_sphere)
        q = alone.posterior(loc[:, factor.slice], concentration[:, columns], scale.double()[:, own])
        torch.testing.assert_close(log_prob[:, index], q.log_prob(z[:, factor.slice]))
        expected = q.kl_per_factor(alone.prior(dtype=torch.float64))[:, 0]
        torch.testing.assert_close(kl[:, index], expected)
    assert start == space.scales


def _scales(factor: Factor) -> torch.Tensor:
    if factor.covariance != "full":
        return 0.5 + torch.rand(2, factor.scales)
    lower = torch.randn(2, factor.dim, factor.dim).tril(-1)
    return (lower + torch.diag_embed(0.5 + torch.rand(2, factor.dim))).flatten(1)
