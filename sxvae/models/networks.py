"""Encoder and decoder trunks: fully connected, or gated convolutions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from sxvae.config import ModelSettings
from sxvae.errors import ConfigError
from sxvae.models.likelihoods import PixelLikelihood

_KERNEL = 5
_CONV_FEATURES = 256


def _mlp(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers


class MLPEncoder(nn.Module):
    """Fully connected layers with ReLU, from images to features.

    Args:
        input_shape: (C, H, W).
        hidden_dims: the layers' widths, in the order in which the data pass them.
    """

    def __init__(self, input_shape: Sequence[int], hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), *_mlp([math.prod(input_shape), *hidden_dims]))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, C, H, W) to features (batch, hidden_dims[-1])."""
        features: Tensor = self.layers(x)
        return features


class MLPDecoder(nn.Module):
    """Fully connected layers with ReLU, from a latent vector to the likelihood's outputs.

    Attributes:
        largest_layer: the most numbers that a layer gives for one image.

    Args:
        ambient: the latent vector's length.
        hidden_dims: the encoder's widths; the decoder passes them in reverse.
        output_shape: (outputs, H, W).
    """

    def __init__(
        self, ambient: int, hidden_dims: Sequence[int], output_shape: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [ambient, *reversed(hidden_dims)]
        self.output_shape = tuple(output_shape)
        self.largest_layer = max(*widths, math.prod(self.output_shape))
        self.layers = nn.Sequential(
            *_mlp(widths), nn.Linear(widths[-1], math.prod(self.output_shape))
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map latent vectors (batch, ambient) to (batch, outputs, H, W)."""
        outputs: Tensor = self.layers(z).unflatten(-1, self.output_shape)
        return outputs


class GatedConv(nn.Module):
    """A convolution times the logistic function of another, its gate [1, appendix].

    Args:
        inputs: channels.
        outputs: channels.
        kernel: its height and width.
        stride: the factor by which the plane shrinks, or grows if transposed.
        padding: zeros around the plane.
        transposed: a transposed convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (_KERNEL, _KERNEL),
        stride: int = 1,
        padding: int = _KERNEL // 2,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        # One convolution makes both the values and their gates.
        self.convolution: nn.Module = (
            nn.ConvTranspose2d(inputs, 2 * outputs, kernel, stride, padding, stride - 1)
            if transposed
            else nn.Conv2d(inputs, 2 * outputs, kernel, stride, padding)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, H, W) to (batch, outputs, H', W')."""
        return nn.functional.glu(self.convolution(x), dim=1)


class ConvEncoder(nn.Module):
    """Gated 5x5 convolutions: 32, 32/2, 64, 64/2, 64, then 256 over the whole remaining plane.

    Args:
        input_shape: (C, H, W), H and W divisible by 4.

    Raises:
        ConfigError: if height or width is not.
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        plane = _quarter(input_shape)
        self.layers = nn.Sequential(
            GatedConv(input_shape[0], 32),
            GatedConv(32, 32, stride=2),
            GatedConv(32, 64),
            GatedConv(64, 64, stride=2),
            GatedConv(64, 64),
            GatedConv(64, _CONV_FEATURES, plane, padding=0),
            nn.Flatten(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (batch, C, H, W) to features (batch, 256)."""
        features: Tensor = self.layers(x)
        return features


class ConvDecoder(nn.Module):
    """The encoder's transpose: 64 over the plane, then 64, 32/2, 32, 32/2, 32 and a 1x1 read-out.

    Attributes:
        largest_layer: the most numbers that a layer gives for one image.

    Args:
        ambient: the latent vector's length.
        output_shape: (outputs, H, W), H and W divisible by 4.
        last_width: channels of one more 5x5 layer before the read-out; None for no such layer.

    Raises:
        ConfigError: if height or width is not divisible by 4.
    """

    def __init__(
        self, ambient: int, output_shape: Sequence[int], last_width: int | None = None
    ) -> None:
        super().__init__()
        plane = _quarter(output_shape)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (ambient, 1, 1)),
            GatedConv(ambient, 64, plane, padding=0, transposed=True),
            GatedConv(64, 64, transposed=True),
            GatedConv(64, 32, stride=2, transposed=True),
            GatedConv(32, 32, transposed=True),
            GatedConv(32, 32, stride=2, transposed=True),
            GatedConv(32, 32, transposed=True),
        ]
        if last_width is not None:
            layers.append(GatedConv(32, last_width))
        layers.append(nn.Conv2d(last_width or 32, output_shape[0], kernel_size=1))
        self.layers = nn.Sequential(*layers)
        # The last gated convolution, over the full plane: values and gates.
        channels = max(output_shape[0], 2 * (last_width or 0), 2 * 32)
        self.largest_layer = channels * math.prod(output_shape[1:])

    def forward(self, z: Tensor) -> Tensor:
        """Map latent vectors (batch, ambient) to (batch, outputs, H, W)."""
        outputs: Tensor = self.layers(z)
        return outputs


def build_encoder(settings: ModelSettings) -> nn.Module:
    """The encoder that a model's settings name."""
    if settings.encoder == "cnn":
        return ConvEncoder(settings.input_shape)
    return MLPEncoder(settings.input_shape, settings.hidden_dims)


def build_decoder(settings: ModelSettings, likelihood: PixelLikelihood) -> nn.Module:
    """The decoder that a model's settings name, giving what the likelihood takes."""
    ambient, outputs = settings.space.ambient, likelihood.outputs_shape(settings.input_shape)
    if settings.decoder == "cnn":
        last = likelihood.outputs_per_channel
        return ConvDecoder(ambient, outputs, last if last > 1 else None)
    return MLPDecoder(ambient, settings.hidden_dims, outputs)


def largest_layer(decoder: nn.Module) -> int:
    """The most numbers that a layer of a decoder gives for one image; 0 for a custom decoder."""
    return decoder.largest_layer if isinstance(decoder, MLPDecoder | ConvDecoder) else 0


def _quarter(shape: Sequence[int]) -> tuple[int, int]:
    """The plane that is left after two layers of stride 2."""
    _, height, width = shape
    if height % 4 or width % 4:
        raise ConfigError(
            f"convolutional networks take images whose height and width are divisible by 4, not "
            f"{height} x {width}: choose --encoder mlp and --decoder mlp, or resize a folder of "
            "images with --image-size"
        )
    return height // 4, width // 4
