"""What the tests of pictures share: an autoencoder that records what it decodes, and metrics."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sxvae.plotting.autoencoder import Autoencoder, Floats
from sxvae.plotting.style import figure_bytes
from sxvae.spaces import ProductSpace
from sxvae_runtime.factors import Factor


class RecordingAutoencoder:
    """Codes are random but fixed; the decoded image is grey by the code's first coordinate."""

    def __init__(self, dims: str, families: str = "vmf", channels: int = 1) -> None:
        self.space = ProductSpace.parse(dims, families)
        self.input_shape = (channels, 6, 8)
        self.decoded: list[NDArray[Any]] = []

    @property
    def factors(self) -> tuple[Factor, ...]:
        return self.space.factors

    @property
    def ambient(self) -> int:
        return self.space.ambient

    def encode(self, x: Floats, /) -> tuple[Floats, Floats, Floats | None]:
        rng = np.random.default_rng(1)
        concentration = rng.gamma(4, 20, (len(x), len(self.space.spheres))).astype(np.float32)
        scale = rng.uniform(0.1, 1, (len(x), self.space.scales)).astype(np.float32)
        return self.sample_prior(len(x), seed=2), concentration, scale if scale.size else None

    def decode(self, z: Floats, /) -> Floats:
        self.decoded.append(z)
        images = np.empty((len(z), *self.input_shape), np.float32)
        images[:] = ((z[:, 0] + 1) / 2).clip(0, 1)[:, None, None, None]
        return images

    def sample_prior(self, n: int, *, seed: int) -> Floats:
        z = np.random.default_rng(seed).standard_normal((n, self.ambient))
        for factor in self.factors:
            if factor.is_sphere:
                z[:, factor.slice] /= np.linalg.norm(z[:, factor.slice], axis=1, keepdims=True)
        return z.astype(np.float32)


MakeAutoencoder = Callable[..., RecordingAutoencoder]


@pytest.fixture
def make_autoencoder() -> MakeAutoencoder:
    """Make an autoencoder of a space; it satisfies the protocol."""

    def make(dims: str, families: str = "vmf", channels: int = 1) -> RecordingAutoencoder:
        autoencoder = RecordingAutoencoder(dims, families, channels)
        _: Autoencoder = autoencoder
        return autoencoder

    return make


def texts(figure: Any) -> str:
    """All text of a figure's SVG, tags removed."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", figure_bytes(figure, "svg").decode()))


def history(epochs: int, val_every: int = 1) -> list[dict[str, Any]]:
    """The metrics of a training, as metrics.jsonl has them."""
    entries = []
    for epoch in range(1, epochs + 1):
        metrics = {"reconstruction": -90.0 + epoch, "kl": 5.0, "kl_per_factor": [2.0, 3.0]}
        entry = {"epoch": epoch, "kl_weight": epoch / epochs, "loss": 100.0 - epoch, **metrics}
        if epoch % val_every == 0 or epoch == epochs:
            validation = {**metrics, "elbo": -95.0 + epoch}
            entry |= {f"val_{key}": value for key, value in validation.items()}
        entries.append(entry)
    return entries
