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


def test_free_bits_clamp_each_factors_mean_in_the_loss_alone(
    model: ProductSpaceVAE, x: Tensor
) -> None:
    means = model.elbo(x).kl.mean(dim=0)
    low, high = means.min().item(), means.max().item()
    assert high > 1.2 * low  # or this test could not tell the factors apart
    bits = (low + high) / 2
    config = TrainingSettings(kl_warmup=4, free_bits=bits)
    for epoch, weight in ((0, 0.0), (2, 0.5), (9, 1.0)):
        terms = objective(model, x, epoch, config)
        cost = terms.kl.mean(dim=0).clamp(min=bits).sum()
        torch.testing.assert_close(terms.loss, weight * cost - terms.reconstruction.mean())
        assert terms.kl.mean(dim=0).min().item() == pytest.approx(low, rel=1e-5)


def test_below_the_free_bits_a_kl_has_no_gradient(model: ProductSpaceVAE, x: Tensor) -> None:
    """And above them the whole one."""
    bias = model.head.linear.bias
    means = model.elbo(x).kl.mean(dim=0)
    for bits in (means.max().item() + 1, means.mean().item(), means.min().item() / 2):
        torch.manual_seed(0)
        terms = objective(model, x, 9, TrainingSettings(kl_warmup=0, free_bits=bits))
        pressed = terms.reconstruction.mean() + terms.loss
        costly = means > bits
        counted = terms.kl.mean(dim=0)[costly].sum() + 0 * bias.sum()
        expected = torch.autograd.grad(counted, bias, retain_graph=True)[0]
        found = torch.autograd.grad(pressed, bias)[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_free_bits_lift_only_what_presses_a_held_kl_down(model: ProductSpaceVAE, x: Tensor) -> None:
    kl = model.elbo(x).kl.sum(dim=-1)
    many = 100.0  # above every KL
    below = TrainingSettings(kl_warmup=0, kl_target=kl.max().item() + 1, free_bits=many)
    above = TrainingSettings(kl_warmup=0, kl_target=2 * many + 1, free_bits=many)
    bias = model.head.linear.bias
    for config in (below, above):
        terms = objective(model, x, 0, config)
        found = torch.autograd.grad(
            terms.loss + terms.reconstruction.mean(), bias, retain_graph=True
        )[0]
        drawn_up = -torch.autograd.grad(terms.kl.sum(dim=-1).mean(), bias)[0]
        torch.testing.assert_close(found, drawn_up, rtol=1e-4, atol=1e-6)
    pressed = TrainingSettings(kl_warmup=0, kl_target=kl.min().item() / 2, free_bits=many)
    terms = objective(model, x, 0, pressed)
    loss = terms.loss + terms.reconstruction.mean()
    assert torch.autograd.grad(loss, bias)[0].abs().max() < 1e-6


def test_free_bits_need_a_kl_in_the_loss() -> None:
    with pytest.raises(ConfigError, match="no KL that could have free bits"):
        TrainingSettings(free_bits=0.5, train_samples=5)


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
