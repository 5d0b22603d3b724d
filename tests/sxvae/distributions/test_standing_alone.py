"""The distributions need kernels, errors and randomness, and no other part of the project."""

from __future__ import annotations

import subprocess
import sys

BLOCK_THE_REST = """
import sys

BELOW = {"distributions", "kernels", "errors", "randomness"}


class Blocked:
    def find_spec(self, name, path=None, target=None):
        first, _, rest = name.partition(".")
        is_other_part = first == "sxvae" and rest and rest.split(".")[0] not in BELOW
        if is_other_part or first in {"sxvae_cli", "sxvae_export", "sxvae_runtime"}:
            raise ImportError(f"{name} is blocked")


sys.meta_path.insert(0, Blocked())
"""

USE = """
import torch
from torch.distributions import kl_divergence
from sxvae.distributions import (
    HypersphericalUniform, PowerSpherical, ProductDistribution, VonMisesFisher
)
from sxvae.distributions.families import SPHERICAL_DISTRIBUTIONS
from sxvae.distributions.normal import normal
from sxvae.distributions.special import log_bessel_i

raw = torch.randn(6, 2, 5, requires_grad=True)
k = torch.full((6, 2), 20.0, requires_grad=True)
for family in SPHERICAL_DISTRIBUTIONS.values():
    q = family(torch.nn.functional.normalize(raw, dim=-1), k)
    x = q.rsample((8,))
    terms = [q.log_prob(x), q.entropy(), kl_divergence(q, q.expand((3, 6, 2)))]
    terms += [kl_divergence(q, HypersphericalUniform(4)), x]
    raw.grad = k.grad = None
    sum(term.sum() for term in terms).backward()
    assert raw.grad.isfinite().all() and k.grad.isfinite().all()
    assert family.fit(x.detach()).concentration.shape == (6, 2)
    q.mean, q.variance, q.mode

groups = [q, PowerSpherical(torch.eye(2)[:1].expand(6, 1, 2), 3.0)]
groups.append(normal(torch.zeros(6, 1, 3), torch.ones(6, 1, 1), "single"))
product = ProductDistribution(groups, [(0, 2), (1,), (3,)])
z = product.rsample()
assert z.shape == (6, 15) and product.log_prob_per_factor(z).shape == (6, 4)
assert product.kl_per_factor(product).abs().max() < 1e-5
assert log_bessel_i(1.5, torch.ones(3)).isfinite().all()
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK_THE_REST + code], capture_output=True, text=True, check=False
    )


def test_everything_works_with_the_rest_of_the_project_blocked() -> None:
    done = _run(USE)
    assert done.returncode == 0, done.stderr


def test_the_rest_of_the_project_is_blocked() -> None:
    """Otherwise the test above could not fail."""
    for module in ("sxvae.spaces", "sxvae.config", "sxvae_runtime.factors"):
        done = _run(f"import {module}")
        assert f"{module.partition('.')[0]}" in done.stderr
        assert "is blocked" in done.stderr
