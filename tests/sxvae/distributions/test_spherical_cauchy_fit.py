from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sxvae.distributions import SphericalCauchy

SIGMAS = 4.75  # sixteen numbers: a false alarm in 30,000 runs


def _direction(ambient: int) -> Tensor:
    loc = torch.linspace(-1, 2, ambient, dtype=torch.float64)
    unit: Tensor = loc / loc.norm()
    return unit


@pytest.mark.parametrize("ambient", [2, 3, 5, 50])
@pytest.mark.parametrize("concentration", [5.0, 1e6])
def test_fit_maximises_the_likelihood(ambient: int, concentration: float) -> None:
    """Its gradient vanishes, and k is near the truth, in units of the Fisher information's."""
    count = 5_000
    ks = torch.tensor([concentration, concentration / 2], dtype=torch.float64)
    truth = SphericalCauchy(_direction(ambient), ks)
    x = truth.sample((count,))
    fitted = SphericalCauchy.fit(x)
    raw = fitted.loc.clone().requires_grad_()
    k = fitted.concentration.clone().requires_grad_()
    at_fit = SphericalCauchy(nn.functional.normalize(raw, dim=-1), k)
    by_loc, by_k = torch.autograd.grad(at_fit.log_prob(x).mean(dim=0).sum(), (raw, k))
    assert (by_loc.norm(dim=-1) / k).max() < 1e-9
    assert (by_k * k).abs().max() < 1e-9
    scores = torch.func.vmap(
        torch.func.grad(lambda k, x: SphericalCauchy(truth.loc[0], k, False).log_prob(x)),
        in_dims=(None, 0),
    )
    for i in range(2):
        information = scores(ks[i], x[:, i]).square().mean()
        error = (fitted.concentration[i] - ks[i]).abs()
        bias = ambient / (count * information * ks[i])
        assert error < SIGMAS / (count * information).sqrt() + bias


def test_fit_finds_the_only_maximum_from_anywhere() -> None:
    """Vectors on both sides of the sphere, where the mean says nothing of the direction."""
    torch.manual_seed(0)
    north = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    x = torch.cat([SphericalCauchy(s * north, 1e6).sample((n,)) for s, n in ((1, 60), (-1, 40))])
    fitted = SphericalCauchy.fit(x)
    assert fitted.loc[2] > 0.99
    trials = SphericalCauchy(
        nn.functional.normalize(torch.randn(500, 1, 3, dtype=torch.float64), dim=-1),
        torch.logspace(-3, 6, 40, dtype=torch.float64),
    )
    best = trials.log_prob(x[:, None, None]).sum(dim=0).max()
    assert fitted.log_prob(x).sum() >= best


def test_fit_at_both_ends() -> None:
    north = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    others = nn.functional.normalize(torch.randn(10, 3, dtype=torch.float64), dim=-1)
    for many in (10, 11):
        with pytest.raises(ValueError, match="half or more of the vectors coincide"):
            SphericalCauchy.fit(torch.cat([north.expand(many, 3), others]))
    fitted = SphericalCauchy.fit(torch.cat([north.expand(9, 3), others]))
    assert 1 < fitted.concentration < 1e4
    assert fitted.loc[2] > 0.9
    corners = torch.cat([torch.eye(3), -torch.eye(3)])
    assert SphericalCauchy.fit(corners).concentration.item() < 1e-6
    near = nn.functional.normalize(north + 1e-7 * torch.randn(50, 3).double(), dim=-1)
    assert 1e12 < SphericalCauchy.fit(near).concentration < 1e16
    single = SphericalCauchy.fit(others.float())
    assert single.loc.dtype == single.concentration.dtype == torch.float32
