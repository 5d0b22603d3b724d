"""The tables of KL, mean and variance of the statistic against the functions they stand for."""

from __future__ import annotations

import pytest
import torch

from sxvae.distributions import PowerSpherical, VonMisesFisher
from sxvae.distributions.exponential_family import partition_table
from sxvae.distributions.sampling import compiled

FAMILIES = [VonMisesFisher, PowerSpherical]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 5, 50, 100_000])
def test_the_table_gives_what_it_was_made_from(
    family: type[VonMisesFisher] | type[PowerSpherical], ambient: int
) -> None:
    pole = torch.zeros(ambient, dtype=torch.float64)
    pole[0] = 1
    k = 10 ** torch.linspace(-8, 10, 4_001, dtype=torch.float64)
    exact = family(pole, 0.0)._exact_partition_moments(k)
    table = partition_table(family, ambient)
    for moments in (table(k), compiled.look_up(table, k)):
        for found, expected in zip(moments, exact, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_at_its_ends(family: type[VonMisesFisher] | type[PowerSpherical]) -> None:
    table = partition_table(family, 5)
    k = torch.tensor([0.0, 1e-12, 3e38, torch.nan], dtype=torch.float32)
    for moments in (table(k), compiled.look_up(table, k)):
        assert moments.kl[0] == 0
        expected = 1.0 if family is VonMisesFisher else 5 / 6
        assert moments.mean_minus_s[0] == pytest.approx(expected)
        assert all(moment[:3].isfinite().all() for moment in moments)
        assert all(moment[3].isnan() for moment in moments)
