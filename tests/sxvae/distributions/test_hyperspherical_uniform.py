from __future__ import annotations

import math

import pytest
import torch

from sxvae.distributions import HypersphericalUniform


@pytest.mark.parametrize(("dim", "area"), [(1, 2 * math.pi), (2, 4 * math.pi), (3, 2 * math.pi**2)])
def test_entropy_is_the_log_of_the_known_area(dim: int, area: float) -> None:
    q = HypersphericalUniform(dim, dtype=torch.float64)
    assert q.entropy().item() == pytest.approx(math.log(area), rel=1e-14)
    assert q.log_prob(q.sample()).item() == pytest.approx(-math.log(area), rel=1e-14)


@pytest.mark.parametrize("dim", [1, 4, 1_000])
def test_samples_have_norm_one_in_float32(dim: int) -> None:
    x = HypersphericalUniform(dim).sample((1_000,))
    assert x.dtype == torch.float32
    assert (x.double().norm(dim=-1) - 1).abs().max() <= 1e-6


def test_refusals() -> None:
    with pytest.raises(ValueError, match="dimension 1 or more"):
        HypersphericalUniform(0)
    with pytest.raises(ValueError, match="support"):
        HypersphericalUniform(2, validate_args=True).log_prob(torch.zeros(3))


def test_every_point_is_a_mode() -> None:
    assert torch.isnan(HypersphericalUniform(2).mode).all()
