"""Normal posteriors and priors of Euclidean factors, from PyTorch's own distributions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)
from torch.distributions.constraints import Constraint

from sxvae.distributions.geometry import Shape
from sxvae.distributions.precision import (
    REDUCED_TYPES,
    in_full_precision,
    promoted,
    promoted_distribution,
)


def normal(loc: Tensor, scale: Tensor, covariance: str) -> Distribution:
    """A normal distribution on R^m: batch shape (...), event shape (m,).

    Args:
        loc: means, shape (..., m).
        scale: standard deviations, shape (..., 1) for "single" and (..., m) for "diagonal"
            covariance; the rows of the Cholesky factor, shape (..., m * m), for "full".
        covariance: "single", "diagonal" or "full".
    """
    dtype = torch.promote_types(loc.dtype, scale.dtype)
    if dtype in REDUCED_TYPES:
        return CastDistribution(normal(loc.float(), scale.float(), covariance), dtype)
    if covariance == "full":
        factor = scale.unflatten(-1, (loc.shape[-1], loc.shape[-1]))
        return _MultivariateNormal(loc, scale_tril=factor, validate_args=False)
    return Independent(
        _Normal(loc, scale.expand_as(loc), validate_args=False), 1, validate_args=False
    )


class _Normal(Normal):
    """PyTorch's, with the same noise drawn in a way that `vmap` can draw for each example."""

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + noise * self.scale


class _MultivariateNormal(MultivariateNormal):
    """PyTorch's, with the same noise drawn in a way that `vmap` can draw for each example."""

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)


def normal_parameters(distribution: Distribution, covariance: str) -> tuple[Tensor, Tensor]:
    """The `loc` and `scale` from which `normal` makes a distribution of its kind.

    Raises:
        ValueError: if it is no such distribution.
    """
    if isinstance(distribution, CastDistribution):
        loc, scale = normal_parameters(distribution.promoted(), covariance)
        return loc.to(distribution.dtype), scale.to(distribution.dtype)
    if covariance == "full" and isinstance(distribution, MultivariateNormal):
        return distribution.loc, distribution.scale_tril.flatten(-2)
    base = distribution.base_dist if isinstance(distribution, Independent) else None
    if covariance == "full" or not isinstance(base, Normal):
        raise ValueError(f"{distribution} is no normal distribution of {covariance} covariance")
    return base.loc, base.scale[..., :1] if covariance == "single" else base.scale


def is_standard_normal(distribution: Distribution, dtype: torch.dtype) -> bool:
    """Whether it is a constant standard normal of a type on the CPU, as `normal` makes them."""
    if isinstance(distribution, MultivariateNormal):
        loc, scale = distribution.loc, distribution.scale_tril
        unit: Tensor | float = torch.eye(loc.shape[-1], dtype=dtype)
    elif isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal):
        loc, scale, unit = distribution.base_dist.loc, distribution.base_dist.scale, 1.0
    else:
        return False
    if loc.requires_grad or scale.requires_grad or loc.device.type != "cpu":
        return False
    is_of_type = loc.dtype == scale.dtype == dtype
    return is_of_type and not bool(loc.any()) and bool((scale == unit).all())


class CastDistribution(Distribution):
    """A distribution whose results are cast to float16 or bfloat16.

    PyTorch's own computes in the type of its parameters, and not all of it in a reduced one.

    Args:
        base: with float32 parameters.
        dtype: of the results.
    """

    def __init__(self, base: Distribution, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def promoted(self) -> Distribution:
        """The distribution in float32."""
        return self._base

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """That of the distribution in float32, like all that follows."""
        return self._base.has_rsample

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        """Empty: the distribution in float32 has the parameters."""
        return {}

    @property
    def support(self) -> Constraint | None:
        """Where the density is positive."""
        return self._base.support

    # The decorator hands the methods the distribution in float32 as `self`.

    @property
    @in_full_precision
    def mean(self) -> Tensor:
        """Shape (*batch_shape, *event_shape)."""
        return self.mean

    @property
    @in_full_precision
    def mode(self) -> Tensor:
        """Shape (*batch_shape, *event_shape)."""
        return self.mode

    @property
    @in_full_precision
    def variance(self) -> Tensor:
        """Shape (*batch_shape, *event_shape)."""
        return self.variance

    def expand(self, batch_shape: Shape, _instance: Any = None) -> CastDistribution:  # noqa: ANN401 (as in PyTorch)
        """The same distribution with its batch shape expanded."""
        return CastDistribution(self._base.expand(torch.Size(batch_shape)), self.dtype)

    @in_full_precision
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, *event_shape)."""
        return self.rsample(torch.Size(sample_shape))

    @in_full_precision
    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density, nats, shape (..., *batch_shape)."""
        return self.log_prob(promoted(value))

    @in_full_precision
    def entropy(self) -> Tensor:
        """Nats, shape batch_shape."""
        return self.entropy()


@register_kl(CastDistribution, CastDistribution)  # type: ignore[untyped-decorator]
@register_kl(CastDistribution, Distribution)  # type: ignore[untyped-decorator]
@register_kl(Distribution, CastDistribution)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_in_full_precision(p: Distribution, q: Distribution) -> Tensor:
    return kl_divergence(promoted_distribution(p), promoted_distribution(q))
