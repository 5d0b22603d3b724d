"""A whole training step under torch.compile, torch.export and torch.func."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from sxvae import ProductSpace, ProductSpaceVAE

# What PyTorch says of its own workings.
pytestmark = pytest.mark.filterwarnings("ignore")
SPACES = {
    "spheres": ProductSpace.parse("3,2", "vmf,power-spherical"),
    "mixed": ProductSpace.parse("2,3", "vmf,normal"),
}


def _model(space: str) -> ProductSpaceVAE:
    torch.manual_seed(0)
    return ProductSpaceVAE(SPACES[space], (1, 4, 4), (8, 8))


def _images() -> Tensor:
    return torch.bernoulli(torch.full((6, 1, 4, 4), 0.3))


def test_a_step_is_one_graph_for_torch_compile() -> None:
    model, x = _model("spheres"), _images()
    compiled = torch.compile(model.elbo, fullgraph=True, backend="aot_eager")
    terms = compiled(x)
    expected = model.encode(x).kl_per_factor(model.prior())
    torch.testing.assert_close(terms.kl, expected)
    (by_head,) = torch.autograd.grad(terms.kl.sum(), model.head.linear.bias, retain_graph=True)
    (exact,) = torch.autograd.grad(expected.sum(), model.head.linear.bias)
    torch.testing.assert_close(by_head, exact)
    terms.elbo.mean().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert not torch.equal(compiled(x).reconstruction, terms.reconstruction)  # new samples


class _Elbo(nn.Module):
    def __init__(self, model: ProductSpaceVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.elbo(x))


@pytest.mark.parametrize("space", SPACES)
def test_a_step_is_one_graph_for_torch_export(space: str) -> None:
    model, x = _model(space), _images()
    elbo, reconstruction, kl = torch.export.export(_Elbo(model), (x,)).module()(x)
    torch.testing.assert_close(kl, model.encode(x).kl_per_factor(model.prior()))
    torch.testing.assert_close(elbo, reconstruction - kl.sum(dim=-1))


def test_vmap_gives_the_gradients_of_each_image() -> None:
    model, x = _model("spheres"), _images()
    parameters = {name: each.detach() for name, each in model.named_parameters()}

    def kl(parameters: dict[str, Tensor], image: Tensor) -> Tensor:
        named = {f"model.{name}": each for name, each in parameters.items()}
        kl: Tensor = functional_call(_Elbo(model), named, (image.unsqueeze(0),))[2]
        return kl.sum()

    each = vmap(grad(kl), in_dims=(None, 0), randomness="different")(parameters, x)
    (expected,) = torch.autograd.grad(model.elbo(x).kl.sum(), model.head.linear.weight)
    total = each["head.linear.weight"].sum(dim=0)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)


def test_vmap_reaches_the_samples_of_normal_factors() -> None:
    model, x = _model("mixed"), _images()
    terms = vmap(lambda image: model.elbo(image.unsqueeze(0)), randomness="different")(x)
    torch.testing.assert_close(terms.kl.squeeze(1), model.encode(x).kl_per_factor(model.prior()))
    assert terms.elbo.isfinite().all()
    same = vmap(lambda image: model.elbo(image.unsqueeze(0)).elbo, randomness="different")
    assert same(x[:1].expand_as(x)).std() > 0  # each image has draws of its own
