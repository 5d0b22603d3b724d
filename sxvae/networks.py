"""Encoder and decoder trunks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn


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
    """Fully connected layers with ReLU, from a latent vector to one number a pixel.

    Args:
        ambient: the latent vector's length.
        hidden_dims: the encoder's widths; the decoder passes them in reverse.
        output_shape: (C, H, W).
    """

    def __init__(
        self, ambient: int, hidden_dims: Sequence[int], output_shape: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [ambient, *reversed(hidden_dims)]
        self.output_shape = tuple(output_shape)
        self.layers = nn.Sequential(
            *_mlp(widths), nn.Linear(widths[-1], math.prod(self.output_shape))
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map latent vectors (batch, ambient) to (batch, C, H, W)."""
        outputs: Tensor = self.layers(z).unflatten(-1, self.output_shape)
        return outputs
