"""The distributions in somebody else's model, which knows nothing of sxvae otherwise."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, kl_divergence

from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)

FAMILIES = [VonMisesFisher, PowerSpherical, SphericalCauchy]
Family = type[VonMisesFisher] | type[PowerSpherical] | type[SphericalCauchy]


class _OwnModel(nn.Module):
    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        self.trunk = nn.Linear(20, 32)
        self.loc, self.concentration = nn.Linear(32, 6), nn.Linear(32, 1)
        self.decoder = nn.Linear(6, 20)

    def forward(self, x: Tensor) -> tuple[Distribution, Distribution]:
        hidden = torch.tanh(self.trunk(x))
        loc = nn.functional.normalize(self.loc(hidden), dim=-1)
        concentration = nn.functional.softplus(self.concentration(hidden)).squeeze(-1)
        q = self.family(loc, concentration, validate_args=True)
        return q, Independent(Bernoulli(logits=self.decoder(q.rsample())), 1)

    def loss(self, x: Tensor) -> Tensor:
        q, likelihood = self(x)
        uniform = HypersphericalUniform(5, dtype=x.dtype, device=x.device)
        return cast(Tensor, (kl_divergence(q, uniform) - likelihood.log_prob(x)).mean())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_of_ones_own_trains(family: Family, dtype: torch.dtype) -> None:
    model = _OwnModel(family).to(dtype)
    x = (torch.rand(64, 1) < torch.linspace(0.05, 0.95, 20)).to(dtype)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = model.loss(x).item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = model.loss(x)
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimiser.step()
    assert loss.dtype == dtype
    assert loss.item() < before - 1


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_broadcast_like_those_of_torch(family: Family) -> None:
    loc = nn.functional.normalize(torch.randn(4, 1, 3), dim=-1)
    q = family(loc, torch.ones(5))
    assert q.batch_shape == (4, 5)
    assert family(loc, 10.0).batch_shape == (4, 1)
    assert q.rsample((2,)).shape == (2, 4, 5, 3)
    other = family(nn.functional.normalize(torch.randn(3), dim=-1), torch.tensor(2.0))
    assert kl_divergence(q, other).shape == kl_divergence(other, q).shape == (4, 5)
    assert q.expand((7, 4, 5)).entropy().shape == (7, 4, 5)
    assert Independent(q, 1).log_prob(q.sample()).shape == (4,)


@pytest.mark.parametrize("family", FAMILIES)
def test_arguments_are_validated_as_torch_does(family: Family) -> None:
    loc = torch.tensor([0.6, 0.8, 0.0])
    for bad_loc, bad_k, name in (
        (2 * loc, torch.tensor(1.0), "loc"),
        (loc, torch.tensor(-1.0), "concentration"),
        (loc, torch.tensor(float("nan")), "concentration"),
        (loc, torch.tensor(float("inf")), "concentration"),
    ):
        with pytest.raises(ValueError, match=name):
            family(bad_loc, bad_k, validate_args=True)
        family(bad_loc, bad_k, validate_args=False)
    with pytest.raises(ValueError, match="support"):
        family(loc, torch.tensor(1.0), validate_args=True).log_prob(2 * loc)


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_stays_on_the_parameters_device(family: Family) -> None:
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device here")
    loc = nn.functional.normalize(torch.randn(10, 5), dim=-1).cuda().requires_grad_()
    k = torch.full((10,), 3.0).cuda().requires_grad_()
    q, uniform = family(loc, k), HypersphericalUniform(4, device="cuda")
    x = q.rsample()
    results = (x, q.mean, q.variance, q.entropy(), q.log_prob(x), kl_divergence(q, uniform))
    assert all(result.is_cuda for result in (*results, kl_divergence(q, q)))
    total = torch.stack([result.sum() for result in results]).sum()
    gradients = torch.autograd.grad(total, (loc, k))
    assert all(gradient.isfinite().all() for gradient in gradients)
    on_cpu = family(loc.detach().cpu(), k.detach().cpu())
    torch.testing.assert_close(q.entropy().cpu(), on_cpu.entropy())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", [2, 3, 8])
def test_results_have_the_gradients_that_finite_differences_have(
    family: Family, ambient: int
) -> None:
    raw = torch.randn(3, ambient, dtype=torch.float64, requires_grad=True)
    k = torch.tensor([0.3, 5.0, 60.0], dtype=torch.float64, requires_grad=True)
    x = nn.functional.normalize(torch.randn(3, ambient, dtype=torch.float64), dim=-1)

    def results(raw: Tensor, k: Tensor) -> tuple[Tensor, ...]:
        q = family(nn.functional.normalize(raw, dim=-1), k)
        return q.mean, q.variance, q.entropy(), q.log_prob(x)

    assert torch.autograd.gradcheck(results, (raw, k))


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical])
def test_unknown_second_derivatives_are_refused_and_not_taken_for_zero(family: Family) -> None:
    k = torch.tensor(2.0, requires_grad=True)
    q = family(torch.tensor([0.6, 0.8, 0.0]), k)
    between = [kl_divergence(q, q)] if family is PowerSpherical else []
    for value in (q.rsample().sum(), *between):
        (slope,) = torch.autograd.grad(value + k**2, k, create_graph=True)
        with pytest.raises(NotImplementedError, match="first derivatives"):
            torch.autograd.grad(slope, k)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_uniform_distribution_is_a_concentration_of_zero(family: Family) -> None:
    loc = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    q, flat = family(loc, torch.tensor([0.0, 1e-6, 3.0, 1e4]).double()), family(loc, 0.0)
    uniform = HypersphericalUniform(2, dtype=torch.float64)
    torch.testing.assert_close(
        kl_divergence(uniform, q), kl_divergence(flat, q), rtol=1e-10, atol=0
    )
    assert kl_divergence(uniform, uniform) == 0


def test_a_first_use_in_inference_mode_does_not_spoil_training() -> None:
    """In an interpreter of its own, where no constant has been made yet."""
    program = """
import torch
from torch.distributions import kl_divergence
from sxvae import ProductSpace

space = ProductSpace.parse("4,1,4,2", "vmf,power-spherical,spherical-cauchy,vmf")
loc, k = space.normalize(torch.randn(5, space.ambient)), torch.ones(5, 4)
with torch.inference_mode():
    q = space.posterior(loc, k)
    q.sample(), q.entropy(), kl_divergence(q, space.prior()), kl_divergence(q, q)
k.requires_grad_()
q = space.posterior(loc, k)
z = q.rsample()
loss = kl_divergence(q, space.prior()).sum() + kl_divergence(q, q).sum() + q.entropy().sum()
(loss + z.sum() + q.log_prob(z).sum()).backward()
assert k.grad.isfinite().all()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_fit_refuses_what_it_cannot_fit(family: Family) -> None:
    x = nn.functional.normalize(torch.randn(20, 50, dtype=torch.float64), dim=-1)
    for bad, message in (
        (x[0], "shape"),
        (x[:1], "shape"),
        (x[:, :1], "shape"),
        (3 * x, "norm"),
        (x[0].expand(1_000, 50).clone(), "coincide"),
    ):
        with pytest.raises(ValueError, match=message):
            family.fit(bad)
    assert family.fit(x.view(20, 1, 50)[:, :0]).batch_shape == (0,)
    assert family.fit(torch.stack([x, x.flip(0)], dim=1).unsqueeze(1)).batch_shape == (1, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_concentration_of_zero_has_a_gradient(family: Family) -> None:
    k = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loc, x = torch.tensor([[1.0, 0.0, 0.0], [0.48, 0.6, 0.64]], dtype=torch.float64)
    (slope,) = torch.autograd.grad(family(loc, k).log_prob(x), k)
    step = torch.tensor(1e-6, dtype=torch.float64)
    change = family(loc, step).log_prob(x) - family(loc, 0 * step).log_prob(x)
    assert slope.item() == pytest.approx(change.item() / 1e-6, rel=1e-4)
