from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.models import importance
from sxvae.models.importance import ImportanceTerms
from sxvae_runtime.factors import COVARIANCES, Covariance


@pytest.fixture
def model() -> ProductSpaceVAE:
    return ProductSpaceVAE(ProductSpace.parse("4,2,4"), (1, 8, 8), (32, 16))


@pytest.fixture
def x() -> Tensor:
    return torch.bernoulli(torch.full((6, 1, 8, 8), 0.3))


def test_log_likelihood_is_above_the_elbo_and_grows(model: ProductSpaceVAE, x: Tensor) -> None:
    terms = model.importance_terms(x, 2_000)
    elbo = terms.reconstruction - terms.kl.sum(dim=-1)
    assert (terms.log_likelihood > elbo).all()
    few = torch.stack([model.importance_log_likelihood(x, 1) for _ in range(500)]).mean(dim=0)
    torch.testing.assert_close(few, elbo, atol=0.3, rtol=0)
    assert terms.log_likelihood.dtype == torch.float64


def test_log_likelihood_equals_the_integral_on_a_circle() -> None:
    """On S^1 the marginal likelihood is a one-dimensional integral, so it is known."""
    model = ProductSpaceVAE(ProductSpace.parse("1"), (1, 2, 2), (8,)).double()
    x = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 1]]).double().reshape(2, 1, 2, 2)
    angles = torch.linspace(0, 2 * math.pi, 10_001, dtype=torch.float64)[:-1]
    circle = torch.stack([angles.cos(), angles.sin()], dim=-1)
    with torch.no_grad():
        given_z = model.decode(circle[:, None].expand(-1, 2, -1)).log_prob(x)
    exact = torch.logsumexp(given_z, dim=0) - math.log(len(angles))
    terms = model.importance_terms(x, 200_000)
    # 5 standard errors.
    assert ((terms.log_likelihood - exact).abs() < 5 / terms.effective_samples.sqrt()).all()
    assert (terms.effective_samples > 20_000).all()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_log_likelihood_equals_the_integral_on_a_line(covariance: Covariance) -> None:
    """On R^1 it is an integral over the standard normal prior."""
    space = ProductSpace.parse("1", "normal", covariance)
    model = ProductSpaceVAE(space, (1, 2, 2), (8,)).double()
    x = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 1]]).double().reshape(2, 1, 2, 2)
    line = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    with torch.no_grad():
        for layer in model.decoder.modules():  # a decoder that the latent vector matters to
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2)
        given_z = model.decode(line[:, None, None].expand(-1, 2, -1)).log_prob(x)
    prior = -(line**2) / 2 - math.log(2 * math.pi) / 2
    exact = torch.logsumexp(given_z + prior[:, None], dim=0) + math.log(24 / 20_000)
    assert (exact - given_z[10_000]).abs().max() > 0.05  # z = 0 alone would not do
    terms = model.importance_terms(x, 200_000)
    # 5 standard errors.
    assert ((terms.log_likelihood - exact).abs() < 5 / terms.effective_samples.sqrt()).all()
    assert (terms.effective_samples > 20_000).all()


def test_draws_in_parts_add_up_to_the_whole(
    model: ProductSpaceVAE, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many small draws and one large one estimate the same, within their own spread."""
    monkeypatch.setattr(importance, "_COORDINATES_AT_A_TIME", 6 * model.space.ambient * 8_000)
    whole = model.importance_terms(x, 8_000)
    monkeypatch.setattr(importance, "_COORDINATES_AT_A_TIME", 6 * model.space.ambient * 70)
    parts = model.importance_terms(x, 8_000)
    # 5 standard errors; the weights have a mean of 1 and a variance of samples / effective - 1.
    variance = 1 / parts.effective_samples + 1 / whole.effective_samples
    error = parts.log_likelihood - whole.log_likelihood
    assert (error.abs() < 5 * variance.sqrt()).all()
    torch.testing.assert_close(parts.reconstruction, whole.reconstruction, atol=0.08, rtol=0)
    assert torch.equal(parts.kl, whole.kl)
    assert torch.equal(parts.concentration, whole.concentration)
    assert ((parts.effective_samples / whole.effective_samples).log().abs() < math.log(4)).all()


@pytest.mark.parametrize("pairs", [1, 4, 6, 100])
def test_the_memory_for_decoding_does_not_change_the_metrics(
    model: ProductSpaceVAE, x: Tensor, pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of an image, of some images, and of all images with one sample and with many."""

    def terms() -> ImportanceTerms:
        torch.manual_seed(3)
        return model.importance_terms(x, 60, memory=1, on_progress=seen.append)

    seen: list[float] = []
    whole = terms()
    assert seen == [1]
    seen.clear()
    width = 2**20 // model.likelihood.arrays_at_a_time // 4 // pairs
    monkeypatch.setattr(model.decoder, "largest_layer", width)
    for ours, theirs in zip(terms(), whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    assert len(seen) == {1: 360, 4: 120, 6: 60, 100: 4}[pairs]
    assert seen == sorted(seen)
    assert seen[-1] == 1


_PEAK = """
import sys, torch
from sxvae import ProductSpace, ProductSpaceVAE

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

model = ProductSpaceVAE(ProductSpace.parse("4,4"), (1, 28, 28), (32,))
x = torch.zeros(20, 1, 28, 28)
model.importance_log_likelihood(x, 5, memory=1)
before = peak()
model.importance_log_likelihood(x, int(sys.argv[1]), memory=int(sys.argv[2]))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_for_decoding_is_a_bound() -> None:
    """5,000 samples at once would be 20 x 5000 x 784 x 4 bytes = 314 MB for the logits alone.

    The draws take a few MiB beside it. The operating system's number for a child's peak,
    ru_maxrss, starts at its parent's, and would say nothing here.
    """
    for memory in (4, 100):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, "5000", str(memory)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert memory * 1024 / 4 < int(done.stdout) < (memory + 60) * 1024  # KiB


def test_no_sample_is_refused(model: ProductSpaceVAE, x: Tensor) -> None:
    with pytest.raises(ValueError, match="at least one importance sample"):
        model.importance_log_likelihood(x, 0)
    with pytest.raises(ValueError, match="at least 1 MiB"):
        model.importance_log_likelihood(x, 3, memory=0)
