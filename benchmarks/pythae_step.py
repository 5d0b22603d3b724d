"""A training step of pythae's hyperspherical VAE (one sphere), with the layers of ours."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import Task


def pythae_step(dim: int, x: Tensor, hidden: tuple[int, ...]) -> Task:
    """Forward, backward and fused Adam on a batch, for latent space S^dim."""
    from pythae.models import SVAE, SVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            super().__init__()
            self.trunk = _layers([x[0].numel(), *hidden])
            self.loc = nn.Linear(hidden[-1], dim + 1)
            self.log_concentration = nn.Linear(hidden[-1], 1)

        def forward(self, images: Tensor) -> Any:  # noqa: ANN401 (pythae's own type)
            features = self.trunk(images.flatten(1))
            return ModelOutput(
                embedding=self.loc(features), log_concentration=self.log_concentration(features)
            )

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            trunk = _layers([dim + 1, *reversed(hidden)])
            self.network = nn.Sequential(trunk, nn.Linear(hidden[0], x[0].numel()), nn.Sigmoid())

        def forward(self, z: Tensor) -> Any:  # noqa: ANN401
            return ModelOutput(reconstruction=self.network(z))

    config = SVAEConfig(input_dim=tuple(x.shape[1:]), latent_dim=dim + 1, reconstruction_loss="bce")
    model = SVAE(config, Encoder(), Decoder())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        loss = model({"data": x}).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _layers(widths: list[int]) -> nn.Sequential:
    pairs = [(nn.Linear(*sizes), nn.ReLU()) for sizes in pairwise(widths)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair))
