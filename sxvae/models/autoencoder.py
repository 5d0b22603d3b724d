"""A PyTorch model with NumPy arrays in and out, as plotting uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.models.vae import ProductSpaceVAE, evaluating
from sxvae.plotting.autoencoder import Floats
from sxvae.randomness import seeded
from sxvae_runtime.factors import Factor

_BATCH = 500


class TorchAutoencoder:
    """A `sxvae.plotting.Autoencoder` over a model, on the model's device.

    Args:
        model: put into evaluation mode for each call, and back afterwards.
    """

    def __init__(self, model: ProductSpaceVAE) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    @property
    def factors(self) -> tuple[Factor, ...]:
        """In the order in which they lie in a latent vector."""
        return self._model.space.factors

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""
        return self._model.space.ambient

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self._model.settings.input_shape

    def encode(self, x: NDArray[Any], /) -> tuple[Floats, Floats, Floats | None]:
        """Mean directions (n, ambient), concentrations (n, spheres), scales or None."""
        loc, concentration, scale = self._in_batches(self._model.posterior_parameters, x)
        return loc, concentration, scale if scale.shape[1] else None

    def decode(self, z: NDArray[Any], /) -> Floats:
        """The likelihood's mean (n, C, H, W) for z (n, ambient)."""
        (mean,) = self._in_batches(lambda part: (self._model.decode(part).mean,), z)
        return mean

    def sample_prior(self, n: int, *, seed: int) -> Floats:
        """Draws from the prior, shape (n, ambient)."""
        with seeded(seed, "samples", self._device):
            return _numpy(self._model.prior().sample((n,)))

    @torch.no_grad()
    def _in_batches(
        self, compute: Callable[[Tensor], tuple[Tensor, ...]], values: NDArray[Any]
    ) -> tuple[Floats, ...]:
        tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        with evaluating(self._model):
            parts = [compute(part.to(self._device)) for part in tensor.split(_BATCH)]
        return tuple(_numpy(torch.cat(outputs)) for outputs in zip(*parts, strict=True))


def _numpy(tensor: Tensor) -> Floats:
    array: Floats = tensor.float().cpu().numpy()
    return array
