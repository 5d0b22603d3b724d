from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.errors import ConfigError, DataError


@pytest.fixture
def model() -> ProductSpaceVAE:
    return ProductSpaceVAE(ProductSpace.parse("4,2,4"), (1, 8, 8), (32, 16))


@pytest.fixture
def x() -> Tensor:
    return torch.bernoulli(torch.full((6, 1, 8, 8), 0.3))


def test_layers_are_mirrored(model: ProductSpaceVAE) -> None:
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    widths = [(layer.in_features, layer.out_features) for layer in linear]
    assert widths == [(64, 32), (32, 16), (13, 16), (16, 32), (32, 64), (16, 16)]


def test_heads(model: ProductSpaceVAE, x: Tensor) -> None:
    loc, concentration, scale = model.posterior_parameters(x)
    assert scale.shape == (6, 0)
    assert (concentration > 1).all()
    for factor in model.space.factors:
        torch.testing.assert_close(loc[:, factor.slice].norm(dim=-1), torch.ones(6))


def test_encode_and_decode_are_distributions(model: ProductSpaceVAE, x: Tensor) -> None:
    posterior = model.encode(x)
    assert posterior.batch_shape == (6,)
    assert posterior.event_shape == (13,)
    z = posterior.rsample((2,))
    likelihood = model.decode(z)
    assert likelihood.batch_shape == (2, 6)
    assert likelihood.mean.shape == (2, 6, 1, 8, 8)
    by_hand = x * likelihood.mean.log() + (1 - x) * (1 - likelihood.mean).log()
    torch.testing.assert_close(likelihood.log_prob(x), by_hand.sum(dim=(-1, -2, -3)))


def test_elbo_is_the_sum_of_its_parts(model: ProductSpaceVAE, x: Tensor) -> None:
    terms = model.elbo(x, kl_weight=0.3)
    assert terms.kl.shape == (6, 3)
    assert (terms.kl > 0).all()
    torch.testing.assert_close(terms.elbo, terms.reconstruction - 0.3 * terms.kl.sum(dim=-1))
    terms.elbo.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


class _OwnDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(10, 64)

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.layer(z).view(-1, 1, 8, 8)
        return logits


def test_custom_networks(x: Tensor) -> None:
    encoder = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten())
    model = ProductSpaceVAE(
        ProductSpace.parse("4,4"), (1, 8, 8), encoder=encoder, decoder=_OwnDecoder()
    )
    assert encoder[1].num_batches_tracked == 0  # looking for its width leaves it as it was
    assert model.elbo(x).elbo.shape == (6,)
    with pytest.raises(ConfigError, match="both encoder and decoder"):
        ProductSpaceVAE(ProductSpace.parse("4,4"), (1, 8, 8), encoder=encoder)
    with pytest.raises(ConfigError, match="features"):
        ProductSpaceVAE(
            ProductSpace.parse("4,4"), (1, 8, 8), encoder=nn.Identity(), decoder=_OwnDecoder()
        )
    with pytest.raises(ConfigError, match="the decoder maps"):
        ProductSpaceVAE(
            ProductSpace.parse("4,4"), (1, 4, 4), encoder=nn.Flatten(), decoder=_OwnDecoder()
        )


def test_images_that_would_give_wrong_numbers_are_refused(
    model: ProductSpaceVAE, x: Tensor
) -> None:
    for wrong, message in (
        (x[:, 0], "have the shape"),
        (x.repeat(1, 3, 1, 1), "have the shape"),
        (x * 255, r"outside \[0, 1\]"),
        (x * torch.nan, r"outside \[0, 1\]"),
        (x.long(), "floating point is needed"),
        (x[:0], "no image"),
    ):
        with pytest.raises(DataError, match=message):
            model.elbo(wrong)
        with pytest.raises(DataError, match=message):
            model.importance_log_likelihood(wrong, 3)
    with pytest.raises(DataError, match="needs images of 0 and 1 only"):
        model.importance_log_likelihood(x / 2, 3)


def test_a_model_without_hidden_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one width"):
        ProductSpaceVAE(ProductSpace.parse("2"), (1, 8, 8), ())
