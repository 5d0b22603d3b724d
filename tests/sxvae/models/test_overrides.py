"""What a user overrides or hooks counts in training, evaluation and export alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, TrainingSettings
from sxvae.distributions import ProductDistribution
from sxvae.evaluation.embeddings import embed
from sxvae.evaluation.evaluate import evaluate
from sxvae.models.autoencoder import TorchAutoencoder
from sxvae.models.likelihoods import BernoulliImage
from sxvae.models.posterior import posterior_parameters
from sxvae.training.objective import objective
from sxvae.training.validation import validate
from sxvae_export.checks import parts_of

SPACES = [("4,2", "vmf"), ("3,2,2", "vmf,normal,power-spherical")]
# Each changes what the encoder's side or the decoder's side of a model gives.
ENCODING = ["encode", "encoder", "head", "head's inputs", "head's layer"]
DECODING = ["decode", "decoder", "decoder's inputs", "likelihood", "likelihood's inputs"]


def _sharper(posterior: ProductDistribution, space: ProductSpace) -> ProductDistribution:
    loc, concentration, scale = posterior_parameters(posterior, space)
    return space.posterior(-loc, 3 * concentration, scale)


class _Override(ProductSpaceVAE):
    def encode(self, x: Tensor) -> ProductDistribution:
        return _sharper(super().encode(x), self.space)


class _OverriddenDecode(ProductSpaceVAE):
    def decode(self, z: Tensor) -> Distribution:
        return super().decode(z.flip(-1))


def _model(space: tuple[str, str], change: str = "") -> ProductSpaceVAE:
    torch.manual_seed(1)
    kinds = {"encode": _Override, "decode": _OverriddenDecode}
    kind = kinds.get(change, ProductSpaceVAE)
    model = kind(ProductSpace.parse(*space), (1, 8, 8), (16,))
    if change and change not in kinds:
        _hook(model, change)
    return model


def _hook(model: ProductSpaceVAE, change: str) -> None:
    def inputs(module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
        return 3 * given[0]

    def outputs(module: nn.Module, given: Any, found: Tensor) -> Tensor:
        return 3 * found + 1

    def posterior(module: nn.Module, given: Any, found: ProductDistribution) -> ProductDistribution:
        return _sharper(found, model.space)

    def likelihood(module: nn.Module, given: Any, found: Any) -> Distribution:
        return BernoulliImage(3 * found.logits, validate_args=False)

    hooks: dict[str, Callable[[], object]] = {
        "encoder": lambda: model.encoder.register_forward_hook(outputs),
        "head": lambda: model.head.register_forward_hook(posterior),
        "head's inputs": lambda: model.head.register_forward_pre_hook(inputs),
        "head's layer": lambda: model.head.linear.register_forward_hook(outputs),
        "decoder": lambda: model.decoder.register_forward_hook(outputs),
        "decoder's inputs": lambda: model.decoder.register_forward_pre_hook(inputs),
        "likelihood": lambda: model.likelihood.register_forward_hook(likelihood),
        "likelihood's inputs": lambda: model.likelihood.register_forward_pre_hook(inputs),
    }
    hooks[change]()


def _training(model: ProductSpaceVAE, data: ImageData) -> list[Tensor]:
    x = data.for_evaluation("train").images(slice(0, 20))
    results = []
    for samples in (1, 3):
        torch.manual_seed(2)
        terms = objective(model, x, 5, TrainingSettings(train_samples=samples, kl_warmup=1))
        terms.loss.backward()
        results.append(terms.loss.detach())
    return results


def _evaluation(model: ProductSpaceVAE, data: ImageData) -> list[Tensor]:
    config = TrainingSettings()
    elbo = validate(model, data.for_evaluation("validation"), config)["elbo"]
    metrics = evaluate(model, data, samples=3)
    return [torch.tensor(value) for value in (elbo, metrics.elbo, metrics.log_likelihood)]


def _encoded(model: ProductSpaceVAE, data: ImageData) -> list[Tensor]:
    """The outputs of every way to encode: the exported graph's, embeddings, pictures."""
    x = data.for_evaluation("test").images(slice(0, 5))
    with torch.no_grad():
        graph = parts_of(model.eval())["encoder"](x)
    loc = torch.from_numpy(embed(model, data, limit=5).loc)
    pictured = torch.from_numpy(TorchAutoencoder(model).encode(x.numpy())[0])
    return [graph[0], loc, pictured]


def _decoded(model: ProductSpaceVAE, data: ImageData) -> list[Tensor]:
    torch.manual_seed(3)
    z = model.prior().sample((5,))
    with torch.no_grad():
        graph = parts_of(model.eval())["decoder"](z)
    return [graph[0], torch.from_numpy(TorchAutoencoder(model).decode(z.numpy()))]


def _same(ours: list[Tensor], theirs: list[Tensor]) -> list[bool]:
    return [torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("change", [*ENCODING, *DECODING])
def test_a_change_counts_everywhere(
    space: tuple[str, str], change: str, few_digits: ImageData
) -> None:
    exported = _encoded if change in ENCODING else _decoded
    untouched = _decoded if change in ENCODING else _encoded
    for results in (_training, _evaluation, exported):
        plain, changed = (results(_model(space, which), few_digits) for which in ("", change))
        assert not any(_same(changed, plain))
    assert all(
        _same(untouched(_model(space, change), few_digits), untouched(_model(space), few_digits))
    )


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("hooked", ["", "head"])
def test_a_step_uses_the_posterior_of_encode_and_the_likelihood_of_decode(
    space: tuple[str, str], hooked: str, few_digits: ImageData
) -> None:
    """The fused operation and the plain one give the numbers of the public methods."""
    model, x = _model(space, hooked), few_digits.for_evaluation("test").images(slice(0, 7))
    torch.manual_seed(2)
    terms = model.elbo(x)
    torch.manual_seed(2)
    posterior = model.encode(x)
    torch.testing.assert_close(terms.reconstruction, model.decode(posterior.rsample()).log_prob(x))
    torch.testing.assert_close(terms.kl, posterior.kl_per_factor(model.prior()))
