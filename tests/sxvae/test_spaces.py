from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sxvae import ProductSpace
from sxvae.errors import ConfigError


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
