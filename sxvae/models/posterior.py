"""The posterior q(z given x): from the encoder's features to a distribution over latent vectors."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import pad

from sxvae.distributions import HypersphericalUniform, ProductDistribution
from sxvae.distributions.geometry import Shape
from sxvae.distributions.normal import is_standard_normal
from sxvae.distributions.precision import REDUCED_TYPES, in_full_precision, promoted
from sxvae.models.fused import fused_sample_and_kl, is_fusible
from sxvae.models.parameters import activate, head_layout
from sxvae.spaces import PosteriorParameters, ProductSpace


class PosteriorHead(nn.Module):
    """One linear layer from the encoder's features to all of the posterior's parameters.

    Args:
        features: the length of a feature vector.
        space: the product space.

    Example:
        >>> import torch
        >>> from sxvae import ProductSpace
        >>> head = PosteriorHead(16, ProductSpace.parse("4,4"))
        >>> head(torch.randn(3, 16)).rsample().shape
        torch.Size([3, 10])
    """

    def __init__(self, features: int, space: ProductSpace) -> None:
        super().__init__()
        self.space = space
        with torch.random.fork_rng(devices=[]):  # these weights are replaced at once
            self.linear = nn.Linear(features, head_layout(space).size)
        self.reset_parameters()

    def forward(self, features: Tensor) -> Posterior:
        """Map features (batch, features) to the posterior, batch shape (batch,).

        The posterior has the type of the layer's weights, under `torch.autocast` and for features
        of another type too.
        """
        dtype = self.linear.weight.dtype
        outputs = self.linear(_in_type(features, dtype))
        return Posterior(self.space, _in_type(outputs, dtype))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw fresh weights as PyTorch does for layers.

        The rows of each kind of parameter are drawn as a layer of their own, so that a seed gives
        the same weights as in version 0.1, which had three layers.
        """
        weight, bias = self.linear.weight, self.linear.bias
        for rows in head_layout(self.space).parts:
            if rows.start < rows.stop:
                layer = nn.Linear(weight.shape[1], rows.stop - rows.start)
                weight[rows], bias[rows] = layer.weight, layer.bias


def _in_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)


class Posterior(ProductDistribution):
    """q(z given x) by the outputs of the head's layer.

    Its parameters and distributions are made when they are first used: a training step on the CPU
    needs only `rsample_and_kl`, which is one fused operation there.

    Args:
        space: the product space.
        outputs: of the head's layer, as `HeadLayout` says, shape (*batch_shape, outputs).
    """

    def __init__(self, space: ProductSpace, outputs: Tensor) -> None:
        self.space = space
        self.outputs = outputs
        self.positions = tuple(space.groups.values())
        # Not functools.cached_property, which has a lock in Python 3.11 that torch.compile can't
        # enter.
        self._parameters: PosteriorParameters | None = None
        self._groups: tuple[Distribution, ...] | None = None
        self._ambients = tuple(space.factors[indices[0]].ambient for indices in self.positions)
        event_shape = torch.Size([space.ambient])
        Distribution.__init__(self, outputs.shape[:-1], event_shape, validate_args=False)

    @property
    def dtype(self) -> torch.dtype:
        """The outputs' type."""
        return self.outputs.dtype

    @property
    def is_reduced(self) -> bool:
        """Whether the outputs are of a reduced type."""
        return self.outputs.dtype in REDUCED_TYPES

    @property
    def has_parameters(self) -> bool:
        """That it has some."""
        return True

    def promoted(self) -> Posterior:
        """The same posterior by the outputs in float32, if they are of a reduced type."""
        return Posterior(self.space, promoted(self.outputs))

    @property
    @in_full_precision
    def parameters(self) -> PosteriorParameters:
        """Mean directions of length 1, concentrations above 1, positive scales."""
        if self._parameters is None:
            with self._gradients_kept():
                self._parameters = activate(self.outputs, self.space)
        return self._parameters

    @property
    def groups(self) -> tuple[Distribution, ...]:  # type: ignore[override]
        """The distributions of the groups of equal factors."""
        if self._groups is None:
            with self._gradients_kept():
                self._groups = self.space.posterior(*self.parameters).groups
        return self._groups

    def _gradients_kept(self) -> contextlib.AbstractContextManager[None]:
        """A first use without gradients, as by `sample`, must not take them from a later one."""
        if self.outputs.requires_grad and not torch.is_grad_enabled():
            return torch.inference_mode(False)  # which switches gradients on as well
        return contextlib.nullcontext()

    def expand(
        self, batch_shape: Shape, _instance: ProductDistribution | None = None
    ) -> ProductDistribution:
        """The same product with its batch shape expanded."""
        return self.space.posterior(*self.parameters).expand(batch_shape, _instance)

    @in_full_precision
    def rsample_and_kl(self, other: ProductDistribution) -> tuple[Tensor, Tensor]:
        """One sample and KL(self, other) of each factor, fused where that can be done.

        The fused operation gives the numbers that `rsample` and `kl_per_factor` would give, from
        the same random numbers.

        Returns:
            Shapes (*batch_shape, ambient) and (*batch_shape, factors), nats.

        Raises:
            NumericalError: if a concentration is not finite.
            ValueError: if the two are not grouped alike.
        """
        if is_fusible(self.outputs, self.space) and self._is_prior(other):
            return fused_sample_and_kl(self.outputs, self.space)
        return super().rsample_and_kl(other)

    def _is_prior(self, other: ProductDistribution) -> bool:
        """Whether it is uniform or standard normal on each factor, and the same for all images."""
        is_alike = self.positions == other.positions and self._ambients == other._ambients
        return (
            is_alike
            and not other.batch_shape
            and all(
                is_standard_normal(group, self.dtype)
                if family == "normal"
                else isinstance(group, HypersphericalUniform)
                for (family, _), group in zip(self.space.groups, other.groups, strict=True)
            )
        )


def posterior_parameters(
    posterior: ProductDistribution, space: ProductSpace
) -> PosteriorParameters:
    """The parameters of a posterior over `space`, whether the head made it or somebody else."""
    if isinstance(posterior, Posterior):
        return posterior.parameters
    return space.parameters(posterior)


class LearnedRadius(nn.Module):
    """Scales each sphere's coordinates by a positive radius on their way into the decoder.

    The latent vector itself stays on the unit spheres. On a sphere of radius r both the prior's and
    the posterior's density are divided by r^m, so that KL and importance weights do not change:
    only the decoder sees the radius.

    Args:
        space: the product space; its Euclidean coordinates pass as they are.
    """

    index: Tensor

    def __init__(self, space: ProductSpace) -> None:
        super().__init__()
        spheres = len(space.spheres)
        numbers = {factor: number for number, factor in enumerate(space.spheres)}
        index = [
            numbers.get(number, spheres)
            for number, factor in enumerate(space.factors)
            for _ in range(factor.ambient)
        ]
        self.log_radius = nn.Parameter(torch.zeros(spheres))
        self.register_buffer("index", torch.tensor(index), persistent=False)

    @property
    def radius(self) -> Tensor:
        """Each sphere's radius, shape (spheres,)."""
        return self.log_radius.exp()

    def forward(self, z: Tensor) -> Tensor:
        """Map (..., ambient) to the same shape."""
        return z * pad(self.radius, (0, 1), value=1.0)[self.index]
