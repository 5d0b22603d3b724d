from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import Likelihood
from sxvae.errors import ConfigError
from sxvae.models.networks import ConvDecoder, ConvEncoder, GatedConv, MLPDecoder, MLPEncoder

# (channels, height, width): MNIST's, one that is not square, and colour.
SHAPES = [(1, 28, 28), (1, 8, 12), (3, 8, 8)]
Layer = tuple[type[nn.Module], int, int, tuple[int, ...], tuple[int, ...]]


def _convolutions(network: nn.Module) -> list[Layer]:
    """Kind, input channels, gated output channels, kernel and stride of each layer."""
    return [
        (type(layer), layer.in_channels, layer.out_channels // 2, layer.kernel_size, layer.stride)
        for gated in network.modules()
        if isinstance(gated, GatedConv)
        for layer in [gated.convolution]
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]


def _planes(network: nn.Module, inputs: Tensor) -> list[tuple[int, ...]]:
    """The shapes (C, H, W) after each gated layer."""
    shapes: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, GatedConv):
            module.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    network(inputs)
    return shapes


@pytest.mark.parametrize(("channels", "height", "width"), SHAPES)
def test_conv_encoder(channels: int, height: int, width: int) -> None:
    encoder = ConvEncoder((channels, height, width))
    five, conv = (5, 5), nn.Conv2d
    assert _convolutions(encoder) == [
        (conv, channels, 32, five, (1, 1)),
        (conv, 32, 32, five, (2, 2)),
        (conv, 32, 64, five, (1, 1)),
        (conv, 64, 64, five, (2, 2)),
        (conv, 64, 64, five, (1, 1)),
        (conv, 64, 256, (height // 4, width // 4), (1, 1)),
    ]
    x = torch.rand(2, channels, height, width)
    assert _planes(encoder, x) == [
        (32, height, width),
        (32, height // 2, width // 2),
        (64, height // 2, width // 2),
        (64, height // 4, width // 4),
        (64, height // 4, width // 4),
        (256, 1, 1),
    ]
    assert encoder(x).shape == (2, 256)


@pytest.mark.parametrize(("channels", "height", "width"), SHAPES)
@pytest.mark.parametrize("categorical", [False, True])
def test_conv_decoder(channels: int, height: int, width: int, categorical: bool) -> None:
    outputs = 256 * channels if categorical else channels
    decoder = ConvDecoder(10, (outputs, height, width), 256 if categorical else None)
    five, transposed = (5, 5), nn.ConvTranspose2d
    last: list[Layer] = [(nn.Conv2d, 32, 256, five, (1, 1))] if categorical else []
    assert _convolutions(decoder) == [
        (transposed, 10, 64, (height // 4, width // 4), (1, 1)),
        (transposed, 64, 64, five, (1, 1)),
        (transposed, 64, 32, five, (2, 2)),
        (transposed, 32, 32, five, (1, 1)),
        (transposed, 32, 32, five, (2, 2)),
        (transposed, 32, 32, five, (1, 1)),
        *last,
    ]
    read_out = decoder.layers[-1]
    assert isinstance(read_out, nn.Conv2d)
    assert read_out.kernel_size == (1, 1)
    assert (read_out.in_channels, read_out.out_channels) == (256 if categorical else 32, outputs)
    z = torch.randn(2, 10)
    assert _planes(decoder, z)[:6] == [
        (64, height // 4, width // 4),
        (64, height // 4, width // 4),
        (32, height // 2, width // 2),
        (32, height // 2, width // 2),
        (32, height, width),
        (32, height, width),
    ]
    assert decoder(z).shape == (2, outputs, height, width)


def test_parameters_of_the_networks_for_mnist() -> None:
    """Counted by hand: inputs x kernel x (values and gates) + their biases, layer by layer."""

    def gated(inputs: int, outputs: int, kernel: int = 25) -> int:
        return inputs * kernel * 2 * outputs + 2 * outputs

    encoder = [gated(1, 32), gated(32, 32), gated(32, 64), 2 * gated(64, 64), gated(64, 256, 49)]
    decoder = [gated(10, 64, 49), gated(64, 64), gated(64, 32), 3 * gated(32, 32), 32 + 1]
    for network, layers in (
        (ConvEncoder((1, 28, 28)), encoder),
        (ConvDecoder(10, (1, 28, 28)), decoder),
    ):
        assert sum(parameter.numel() for parameter in network.parameters()) == sum(layers)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_gated_layer_is_values_times_gates(transposed: bool) -> None:
    layer = GatedConv(3, 4, stride=2, transposed=transposed)
    x = torch.randn(2, 3, 8, 12)
    values, gates = layer.convolution(x).chunk(2, dim=1)
    torch.testing.assert_close(layer(x), values * gates.sigmoid())
    assert layer(x).shape == ((2, 4, 16, 24) if transposed else (2, 4, 4, 6))


@pytest.mark.parametrize(("height", "width"), [(28, 30), (27, 28), (2, 4), (9, 9)])
def test_other_sizes_are_refused_with_a_way_out(height: int, width: int) -> None:
    message = rf"divisible by 4, not {height} x {width}: choose --encoder mlp .*--image-size"
    with pytest.raises(ConfigError, match=message):
        ConvEncoder((1, height, width))
    with pytest.raises(ConfigError, match=message):
        ConvDecoder(10, (1, height, width))
    with pytest.raises(ConfigError, match=message):
        ProductSpaceVAE(ProductSpace((2,)), (1, height, width), (8,), decoder="cnn")


def test_mlp_of_any_widths() -> None:
    encoder = MLPEncoder((3, 5, 7), (20, 30, 11))
    assert encoder(torch.rand(2, 3, 5, 7)).shape == (2, 11)
    decoder = MLPDecoder(4, (20, 30, 11), (3, 5, 7))
    assert decoder(torch.randn(2, 4)).shape == (2, 3, 5, 7)
    linear = [module for module in decoder.modules() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [11, 30, 20, 105]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "categorical"])
@pytest.mark.parametrize(("encoder", "decoder"), [("cnn", "mlp"), ("mlp", "cnn"), ("cnn", "cnn")])
def test_networks_are_chosen_separately(likelihood: Likelihood, encoder: str, decoder: str) -> None:
    model = ProductSpaceVAE(
        ProductSpace.parse("2,2", "vmf,normal"),
        (3, 8, 4),
        (16,),
        encoder="cnn" if encoder == "cnn" else "mlp",
        decoder="cnn" if decoder == "cnn" else "mlp",
        likelihood=likelihood,
    )
    assert isinstance(model.encoder, ConvEncoder if encoder == "cnn" else MLPEncoder)
    assert isinstance(model.decoder, ConvDecoder if decoder == "cnn" else MLPDecoder)
    x = torch.bernoulli(torch.full((2, 3, 8, 4), 0.5))
    terms = model.elbo(x)
    assert terms.elbo.shape == (2,)
    terms.elbo.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.decode(model.prior().sample((3,))).mean.shape == (3, 3, 8, 4)
    assert model.importance_log_likelihood(x, 4).isfinite().all()
