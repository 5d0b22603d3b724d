from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, TrainingSettings
from sxvae.errors import ConfigError
from sxvae.training.objective import objective


@pytest.fixture
def model(untrained: Callable[..., ProductSpaceVAE]) -> ProductSpaceVAE:
    return untrained()


@pytest.fixture
def x(few_digits: ImageData) -> Tensor:
    return few_digits.for_evaluation("test").images(slice(0, 8))


def test_the_default_is_the_weighted_elbo(model: ProductSpaceVAE, x: Tensor) -> None:
    for epoch, weight in ((0, 0.0), (1, 0.4), (2, 0.8), (9, 0.8)):
        terms = objective(model, x, epoch, TrainingSettings(kl_warmup=2, beta=0.8))
        by_hand = weight * terms.kl.sum(dim=-1) - terms.reconstruction
        torch.testing.assert_close(terms.loss, by_hand.mean())


def test_the_kl_is_held_at_its_target_but_while_it_is_frozen(
    model: ProductSpaceVAE, x: Tensor
) -> None:
    config = TrainingSettings(kl_warmup=2, kl_freeze=1, kl_target=3.0, beta=2.0)
    for epoch, weight in ((1, 0.0), (2, 1.0), (3, 2.0)):
        terms = objective(model, x, epoch, config)
        distance = (weight * terms.kl.sum(dim=-1) - 3).abs()
        torch.testing.assert_close(terms.loss, (distance - terms.reconstruction).mean())
    frozen = objective(model, x, 0, config)
    torch.testing.assert_close(frozen.loss, -frozen.reconstruction.mean())


def test_a_target_is_approached_from_both_sides(model: ProductSpaceVAE, x: Tensor) -> None:
    kl = model.elbo(x).kl.sum(dim=-1)
    for target, sign in ((kl.max().item() + 1, -1), (kl.min().item() / 2, 1)):
        config = TrainingSettings(kl_warmup=0, kl_target=target)
        torch.manual_seed(0)
        held = objective(model, x, 0, config)
        torch.manual_seed(0)
        free = objective(model, x, 0, TrainingSettings(kl_warmup=0, beta=float(sign > 0)))
        bias = model.head.linear.bias
        plain = torch.autograd.grad(free.kl.sum(dim=-1).mean(), bias, retain_graph=True)[0]
        reconstruction = torch.autograd.grad(-free.reconstruction.mean(), bias)[0]
        found = torch.autograd.grad(held.loss, bias)[0]
        torch.testing.assert_close(found, reconstruction + sign * plain)


def test_the_importance_weighted_bound_tightens_with_the_samples(x: Tensor) -> None:
    """Between the ELBO, which it is for one sample, and the log-likelihood, which it tends to."""
    model = ProductSpaceVAE(ProductSpace.parse("3,2", "vmf,normal"), (1, 8, 8), (16,))
    with torch.no_grad():
        elbo, two, ten = (
            torch.stack([model.importance_weighted_bound(x, k).elbo for _ in range(400)])
            for k in (1, 2, 10)
        )
        closed = torch.stack([model.elbo(x).elbo for _ in range(400)])
    error = 4 * (elbo.std(dim=0) + closed.std(dim=0)) / 20
    assert ((elbo.mean(dim=0) - closed.mean(dim=0)).abs() < error).all()
    assert elbo.mean() < two.mean() < ten.mean()
    assert (ten.mean(dim=0) < model.importance_log_likelihood(x, 20_000) + 0.05).all()


def test_the_bounds_weight_and_gradient(model: ProductSpaceVAE, x: Tensor) -> None:
    torch.manual_seed(3)
    terms = model.importance_weighted_bound(x, 4, kl_weight=0.0)
    torch.manual_seed(3)
    given_z = model.decode(model.encode(x).rsample((4,))).log_prob(x)
    torch.testing.assert_close(terms.elbo, torch.logsumexp(given_z, dim=0) - math.log(4))
    loss = objective(model, x, 0, TrainingSettings(kl_warmup=0, train_samples=4)).loss
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_target_and_the_importance_weighted_bound_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="leave the target out, or train with one"):
        TrainingSettings(kl_target=1.0, train_samples=2)
