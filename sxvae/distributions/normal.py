"""Normal posteriors and priors of Euclidean factors, from PyTorch's own distributions."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal


def normal(loc: Tensor, scale: Tensor, covariance: str) -> Distribution:
    """A normal distribution on R^m: batch shape (...), event shape (m,).

    Args:
        loc: means, shape (..., m).
        scale: standard deviations, shape (..., 1) for "single" and (..., m) for "diagonal"
            covariance; the rows of the Cholesky factor, shape (..., m * m), for "full".
        covariance: "single", "diagonal" or "full".
    """
    if covariance == "full":
        factor = scale.unflatten(-1, (loc.shape[-1], loc.shape[-1]))
        return MultivariateNormal(loc, scale_tril=factor, validate_args=False)
    return Independent(
        Normal(loc, scale.expand_as(loc), validate_args=False), 1, validate_args=False
    )


def normal_parameters(distribution: Distribution, covariance: str) -> tuple[Tensor, Tensor]:
    """The `loc` and `scale` from which `normal` makes a distribution of its kind.

    Raises:
        ValueError: if it is no such distribution.
    """
    if covariance == "full" and isinstance(distribution, MultivariateNormal):
        return distribution.loc, distribution.scale_tril.flatten(-2)
    base = distribution.base_dist if isinstance(distribution, Independent) else None
    if covariance == "full" or not isinstance(base, Normal):
        raise ValueError(f"{distribution} is no normal distribution of {covariance} covariance")
    return base.loc, base.scale[..., :1] if covariance == "single" else base.scale
