"""The variational auto-encoder over a product space."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from sxvae.config import DECODING_MEMORY, Likelihood, ModelSettings, Network
from sxvae.distributions import ProductDistribution
from sxvae.distributions.transforms import can_read
from sxvae.errors import ConfigError, DataError
from sxvae.models.importance import ImportanceTerms, importance_terms
from sxvae.models.likelihoods import pixel_likelihood
from sxvae.models.networks import build_decoder, build_encoder
from sxvae.models.posterior import LearnedRadius, PosteriorHead, posterior_parameters
from sxvae.spaces import DEFAULT_COVARIANCE, PosteriorParameters, ProductSpace


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


class ProductSpaceVAE(nn.Module):
    """A variational auto-encoder whose latent space is a product of hyperspheres [1, 2].

    The prior is uniform on every sphere and standard normal on Euclidean factors. Under a Bernoulli
    likelihood the images given to `elbo` and `importance_log_likelihood` hold 0 and 1.

    Args:
        space: the latent space.
        input_shape: (C, H, W) of an image.
        hidden_dims: widths of an MLP encoder's layers; an MLP decoder mirrors them.
        encoder: "mlp", "cnn" (gated convolutions), or a custom module, from (batch, C, H, W) to
            (batch, features).
        decoder: "mlp", "cnn", or a custom module, from (batch, ambient) to the likelihood's outputs
            (batch, C, H, W); 256 C in place of C for a categorical one.
        likelihood: "bernoulli", "gaussian" or "categorical".
        gaussian_scale: the standard deviation of a Gaussian likelihood's pixels, or "learned".
        learn_radius: scale the decoder's input by a learned radius for each sphere.

    Raises:
        ConfigError: if only one of encoder and decoder is a custom module, their shapes do not
            fit, or settings contradict each other.

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
        encoder: nn.Module | Network | None = None,
        decoder: nn.Module | Network | None = None,
        likelihood: Likelihood = "bernoulli",
        gaussian_scale: float | Literal["learned"] = "learned",
        learn_radius: bool = False,
    ) -> None:
        super().__init__()
        is_custom, has_decoder = isinstance(encoder, nn.Module), isinstance(decoder, nn.Module)
        if is_custom != has_decoder:
            raise ConfigError("give both encoder and decoder, or neither")
        channels, height, width = input_shape
        self.settings = ModelSettings(
            z_dims=space.dims,
            distribution=space.families,
            covariance=space.covariance if space.euclidean else DEFAULT_COVARIANCE,
            learn_radius=learn_radius,
            input_shape=(channels, height, width),
            hidden_dims=() if is_custom else tuple(hidden_dims),
            encoder=encoder if isinstance(encoder, str) else "mlp",
            decoder=decoder if isinstance(decoder, str) else "mlp",
            own_networks=is_custom,
            likelihood=likelihood,
            gaussian_scale=gaussian_scale,
        )
        self.space = space
        self.likelihood = pixel_likelihood(self.settings)
        self.encoder = encoder if isinstance(encoder, nn.Module) else build_encoder(self.settings)
        self.decoder = (
            decoder
            if isinstance(decoder, nn.Module)
            else build_decoder(self.settings, self.likelihood)
        )
        self.radius = LearnedRadius(space) if learn_radius else None
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
        """Build the model that `settings` describe, with freshly drawn weights.

        Raises:
            ConfigError: if the settings are of a model with custom networks, and these are not
                given.
        """
        if settings.own_networks and encoder is None:
            raise ConfigError(
                "this model has a custom encoder and decoder: give them, as in "
                "sxvae.load(path, encoder=..., decoder=...)"
            )
        return cls(
            settings.space,
            settings.input_shape,
            settings.hidden_dims,
            encoder=encoder or settings.encoder,
            decoder=decoder or settings.decoder,
            likelihood=settings.likelihood,
            gaussian_scale=settings.gaussian_scale,
            learn_radius=settings.learn_radius,
        )

    def encode(self, x: Tensor) -> ProductDistribution:
        """q(z given x) for x (batch, C, H, W): batch shape (batch,), event shape (ambient,).

        Training, evaluation and export all call `encode` and `decode`, so a subclass may override
        either. The posterior must be over `space`, as `space.posterior` makes it.
        """
        posterior: ProductDistribution = self.head(self.encoder(x))
        return posterior

    def posterior_parameters(self, x: Tensor) -> PosteriorParameters:
        """The parameters of `encode(x)` for x (batch, C, H, W)."""
        return posterior_parameters(self.encode(x), self.space)

    def decode(self, z: Tensor) -> Distribution:
        """p(x given z) for z (..., ambient): batch shape (...), event shape (C, H, W)."""
        flat = z.reshape(-1, self.space.ambient)
        outputs: Tensor = self.decoder(flat if self.radius is None else self.radius(flat))
        outputs = outputs.reshape(*z.shape[:-1], *outputs.shape[1:])
        likelihood: Distribution = self.likelihood(outputs)
        return likelihood

    def prior(self) -> ProductDistribution:
        """p(z), on the model's device."""
        weight = next(self.head.parameters())
        return self.space.prior(dtype=weight.dtype, device=weight.device)

    def elbo(self, x: Tensor, kl_weight: float = 1.0, *, check_images: bool = True) -> Elbo:
        """The evidence lower bound at one posterior sample per image.

        Args:
            x: images in [0, 1], shape (batch, C, H, W).
            kl_weight: the weight of the KL.
            check_images: whether to check their shape and range, which costs time at each step.

        Raises:
            DataError: if the images have another shape, or values outside [0, 1].
        """
        if check_images:
            self.check_images(x)
        z, kl = self.encode(x).rsample_and_kl(self.prior())
        reconstruction = self.decode(z).log_prob(x)
        elbo = torch.sub(reconstruction, kl.sum(dim=-1), alpha=kl_weight)
        return Elbo(elbo, reconstruction, kl)

    def importance_weighted_bound(
        self, x: Tensor, samples: int, kl_weight: float = 1.0, *, check_images: bool = True
    ) -> Elbo:
        """The importance-weighted bound [4], to be trained in the ELBO's place.

        log (1/K) sum_k p(x given z_k) (p(z_k) / q(z_k given x))^kl_weight, with gradients through
        the samples z_k and through both densities.

        Args:
            x: images in [0, 1], shape (batch, C, H, W).
            samples: K.
            kl_weight: the weight of log q(z given x) - log p(z).
            check_images: as in `elbo`.

        Returns:
            The bound as `elbo`, the mean of log p(x given z_k) as `reconstruction`, and the KL in
            closed form, which has no gradient.

        Raises:
            DataError: if the images have another shape, or values outside [0, 1].
        """
        if check_images:
            self.check_images(x)
        posterior, prior = self.encode(x), self.prior()
        z = posterior.rsample((samples,))
        given_z = self.decode(z).log_prob(x)
        log_weights = given_z + kl_weight * (prior.log_prob(z) - posterior.log_prob(z))
        bound = torch.logsumexp(log_weights, dim=0) - math.log(samples)
        with torch.no_grad():
            kl = posterior.kl_per_factor(prior)
        return Elbo(bound, given_z.mean(dim=0), kl)

    def importance_log_likelihood(
        self, x: Tensor, samples: int, *, memory: int = DECODING_MEMORY
    ) -> Tensor:
        """The importance-weighted estimate of log p(x) [4], a lower bound in expectation.

        log (1/K) sum_k p(x, z_k) / q(z_k given x), z_k from q(z given x). No gradients.

        Args:
            x: images in [0, 1], shape (batch, C, H, W); of 0 and 1 for a Bernoulli likelihood.
            samples: K; the memory taken does not depend on it.
            memory: what decoding may take at a time, in MiB, as `decoding_parts` estimates it; one
                sample of one image is always decoded. The draws do not depend on it.

        Returns:
            Shape (batch,), nats, float64.

        Raises:
            DataError: if the images have another shape, or values that the likelihood can't have.
            ValueError: if `samples` or `memory` is below 1.
        """
        return self.importance_terms(x, samples, memory=memory).log_likelihood

    def importance_terms(
        self,
        x: Tensor,
        samples: int,
        *,
        memory: int = DECODING_MEMORY,
        on_progress: Callable[[float], None] | None = None,
    ) -> ImportanceTerms:
        """`importance_log_likelihood` together with the ELBO's parts from the same draws.

        Args:
            x: as for `importance_log_likelihood`.
            samples: as for `importance_log_likelihood`.
            memory: as for `importance_log_likelihood`.
            on_progress: called with the fraction of the samples that is decoded.

        Raises:
            DataError: if the images have another shape, or values that the likelihood can't have.
            ValueError: if `samples` or `memory` is below 1.
        """
        return importance_terms(self, x, samples, memory=memory, on_progress=on_progress)

    def check_images(self, x: Tensor) -> None:
        """Refuse images of a shape or range that would give wrong numbers without an error.

        Their range is not looked at under `torch.compile` and `torch.func.vmap`.

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
        if can_read(x) and not (x.min() >= 0 and x.max() <= 1):
            raise DataError("the images hold values outside [0, 1]; scale them first")

    @torch.no_grad()
    def _check_decoder(self) -> None:
        shape = self.likelihood.outputs_shape(self.settings.input_shape)
        outputs = _dry_run(self.decoder, torch.zeros(1, self.space.ambient))
        if tuple(outputs.shape) != (1, *shape):
            raise ConfigError(
                f"the decoder maps (1, {self.space.ambient}) to {tuple(outputs.shape)}; "
                f"(1, {', '.join(map(str, shape))}) is needed"
            )


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _features(encoder: nn.Module, input_shape: Sequence[int]) -> int:
    outputs = _dry_run(encoder, torch.zeros(1, *input_shape))
    if outputs.dim() != 2:
        raise ConfigError(
            f"the encoder maps one image to {tuple(outputs.shape)}; (1, features) is needed"
        )
    return outputs.shape[1]


@torch.no_grad()
def _dry_run(module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's outputs in evaluation mode, which leaves its running statistics alone."""
    with evaluating(module):
        outputs: Tensor = module(inputs)
    return outputs
