"""The variational auto-encoder over a product space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sxvae.config import ModelSettings
from sxvae.distributions import ProductDistribution
from sxvae.errors import ConfigError, DataError
from sxvae.likelihoods import bernoulli_likelihood
from sxvae.networks import MLPDecoder, MLPEncoder
from sxvae.spaces import ProductSpace

# What the importance samples that are decoded at a time may take, roughly.
_CHUNK_BYTES = 32 * 2**20


class Elbo(NamedTuple):
    """The evidence lower bound and its parts, nats per image.

    Attributes:
        elbo: reconstruction - kl_weight * (sum of kl), shape (batch,).
        reconstruction: log p(x given z) at one posterior sample, shape (batch,).
        kl: KL(q(z given x), p(z)) of each factor, shape (batch, factors).
    """

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor


class ImportanceTerms(NamedTuple):
    """The importance-weighted log-likelihood and, from the same draws, the ELBO's parts.

    Attributes:
        log_likelihood: shape (batch,), nats, float64.
        reconstruction: mean over the draws of log p(x given z), shape (batch,), nats, float64.
        kl: KL of each factor in closed form, shape (batch, factors), nats.
        concentration: of each factor's posterior, shape (batch, factors).
    """

    log_likelihood: Tensor
    reconstruction: Tensor
    kl: Tensor
    concentration: Tensor


class PosteriorHead(nn.Module):
    """From the encoder's features to mean directions and concentrations.

    Args:
        features: the length of a feature vector.
        space: the product space.
    """

    def __init__(self, features: int, space: ProductSpace) -> None:
        super().__init__()
        self.space = space
        self.loc = nn.Linear(features, space.ambient)
        self.concentration = nn.Linear(features, len(space.factors))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, features) to loc (batch, ambient) and concentration (batch, factors) > 1."""
        loc = self.space.normalize(self.loc(features))
        return loc, nn.functional.softplus(self.concentration(features)) + 1


class ProductSpaceVAE(nn.Module):
    """A variational auto-encoder whose latent space is a product of hyperspheres [1, 2].

    The prior is uniform on every sphere, the posterior von Mises-Fisher on each, and the likelihood
    Bernoulli: images given to `elbo` and `importance_log_likelihood` hold 0 and 1.

    Args:
        space: the latent space.
        input_shape: (C, H, W) of an image.
        hidden_dims: widths of the encoder's layers; the decoder mirrors them.
        encoder: your own module instead, from (batch, C, H, W) to (batch, features).
        decoder: your own module instead, from (batch, ambient) to logits (batch, C, H, W).

    Raises:
        ConfigError: if only one of encoder and decoder is given, or their shapes do not fit.

    Example:
        >>> import torch
        >>> from sxvae import ProductSpace, ProductSpaceVAE
        >>> model = ProductSpaceVAE(ProductSpace.parse("4,4"), input_shape=(1, 8, 8))
        >>> x = torch.bernoulli(torch.full((5, 1, 8, 8), 0.3))
        >>> model.elbo(x).kl.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        space: ProductSpace,
        input_shape: Sequence[int] = (1, 28, 28),
        hidden_dims: Sequence[int] = (256, 128),
        *,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if (encoder is None) != (decoder is None):
            raise ConfigError("give both encoder and decoder, or neither")
        channels, height, width = input_shape
        self.settings = ModelSettings(
            z_dims=space.dims,
            distribution=space.families,
            input_shape=(channels, height, width),
            hidden_dims=tuple(hidden_dims) if encoder is None else (),
            own_networks=encoder is not None,
        )
        self.space = space
        self.encoder = encoder or MLPEncoder(input_shape, hidden_dims)
        self.decoder = decoder or MLPDecoder(space.ambient, hidden_dims, input_shape)
        self.head = PosteriorHead(_features(self.encoder, self.settings.input_shape), space)
        self._check_decoder()

    @classmethod
    def from_settings(
        cls,
        settings: ModelSettings,
        *,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> ProductSpaceVAE:
        """Build the model that `settings` describe, with fresh weights.

        Raises:
            ConfigError: if the settings are of a model with the user's own networks, and these are
                not given.
        """
        if settings.own_networks and encoder is None:
            raise ConfigError(
                "this model has an encoder and a decoder of its own: give them, as in "
                "sxvae.load(path, encoder=..., decoder=...)"
            )
        return cls(
            settings.space,
            settings.input_shape,
            settings.hidden_dims,
            encoder=encoder,
            decoder=decoder,
        )

    def posterior_parameters(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior's loc (batch, ambient) and concentration (batch, factors)."""
        loc, concentration = self.head(self.encoder(x))
        return loc, concentration

    def encode(self, x: Tensor) -> ProductDistribution:
        """q(z given x) for x (batch, C, H, W): batch shape (batch,), event shape (ambient,)."""
        return self.space.posterior(*self.posterior_parameters(x))

    def decode(self, z: Tensor) -> Distribution:
        """p(x given z) for z (..., ambient): batch shape (...), event shape (C, H, W)."""
        logits = self.decoder(z.reshape(-1, self.space.ambient))
        return bernoulli_likelihood(logits.reshape(*z.shape[:-1], *logits.shape[1:]))

    def prior(self) -> ProductDistribution:
        """p(z), on the model's device."""
        weight = self.head.loc.weight
        return self.space.prior(dtype=weight.dtype, device=weight.device)

    def elbo(self, x: Tensor, kl_weight: float = 1.0) -> Elbo:
        """The evidence lower bound at one posterior sample per image.

        Args:
            x: images of 0 and 1, shape (batch, C, H, W).
            kl_weight: the weight of the KL.

        Raises:
            DataError: if the images have another shape, or values outside [0, 1].
        """
        self._check_images(x)
        posterior = self.encode(x)
        reconstruction = self.decode(posterior.rsample()).log_prob(x)
        kl = posterior.kl_per_factor(self.prior())
        return Elbo(reconstruction - kl_weight * kl.sum(dim=-1), reconstruction, kl)

    def importance_log_likelihood(self, x: Tensor, samples: int) -> Tensor:
        """The importance-weighted estimate of log p(x) [4], a lower bound in expectation.

        log (1/K) sum_k p(x, z_k) / q(z_k given x), z_k from q(z given x). No gradients.

        Args:
            x: images of 0 and 1, shape (batch, C, H, W).
            samples: K; the memory taken does not depend on it.

        Returns:
            Shape (batch,), nats, float64.

        Raises:
            DataError: if the images have another shape, or values other than 0 and 1.
            ValueError: if `samples` is below 1.
        """
        return self.importance_terms(x, samples).log_likelihood

    @torch.no_grad()
    def importance_terms(self, x: Tensor, samples: int) -> ImportanceTerms:
        """`importance_log_likelihood` together with the ELBO's parts from the same draws.

        Raises:
            DataError: if the images have another shape, or values other than 0 and 1.
            ValueError: if `samples` is below 1.
        """
        if samples < 1:
            raise ValueError(f"at least one importance sample is needed, not {samples}")
        self._check_images(x)
        if not bool(((x == 0) | (x == 1)).all()):
            raise DataError(
                "a Bernoulli log-likelihood is one for images of 0 and 1 only: binarise them, as "
                "ImageData.fixed does"
            )
        posterior, prior = self.encode(x), self.prior()
        log_weights = torch.full(x.shape[:1], -math.inf, dtype=torch.float64, device=x.device)
        reconstruction = torch.zeros_like(log_weights)
        for count in self._chunks(len(x), samples):
            z = posterior.sample((count,))
            given_z = self.decode(z).log_prob(x).double()
            ratio = prior.log_prob(z).double() - posterior.log_prob(z).double()
            log_weights = torch.logaddexp(log_weights, torch.logsumexp(given_z + ratio, dim=0))
            reconstruction += given_z.sum(dim=0)
        return ImportanceTerms(
            log_weights - math.log(samples),
            reconstruction / samples,
            posterior.kl_per_factor(prior),
            posterior.per_factor(lambda group: group.concentration),  # type: ignore[attr-defined]
        )

    def _chunks(self, images: int, samples: int) -> list[int]:
        """How many samples to decode at a time: their sum is `samples`."""
        pixels = math.prod(self.settings.input_shape)
        width = max(pixels, self.space.ambient, *self.settings.hidden_dims, 1)
        size = max(1, _CHUNK_BYTES // (4 * width * max(images, 1)))
        return [min(size, samples - start) for start in range(0, samples, size)]

    def _check_images(self, x: Tensor) -> None:
        """Refuse what would broadcast or overflow to a wrong number.

        Raises:
            DataError: if the shape, the type or the range is wrong.
        """
        if x.shape[1:] != self.settings.input_shape:
            expected = ", ".join(map(str, self.settings.input_shape))
            raise DataError(
                f"the images have the shape {tuple(x.shape)}; (n, {expected}) is needed"
            )
        if not x.is_floating_point():
            raise DataError(f"the images have the type {x.dtype}; floating point is needed")
        if len(x) == 0:
            raise DataError("there is no image in this batch")
        if not (x.min() >= 0 and x.max() <= 1):
            raise DataError("the images hold values outside [0, 1]; scale them first")

    @torch.no_grad()
    def _check_decoder(self) -> None:
        shape = self.settings.input_shape
        outputs = _dry_run(self.decoder, torch.zeros(1, self.space.ambient))
        if tuple(outputs.shape) != (1, *shape):
            raise ConfigError(
                f"the decoder maps (1, {self.space.ambient}) to {tuple(outputs.shape)}; "
                f"(1, {', '.join(map(str, shape))}) is needed"
            )


def _features(encoder: nn.Module, input_shape: Sequence[int]) -> int:
    outputs = _dry_run(encoder, torch.zeros(1, *input_shape))
    if outputs.dim() != 2:
        raise ConfigError(
            f"the encoder maps one image to {tuple(outputs.shape)}; (1, features) is needed"
        )
    return outputs.shape[1]


@torch.no_grad()
def _dry_run(module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's outputs, with its state as it was (running statistics, dropout)."""
    was_training = module.training
    module.eval()
    outputs: Tensor = module(inputs)
    module.train(was_training)
    return outputs
