"""What the distributions share whose density depends on the angle to a mean direction alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from sxvae.distributions.constraints import unit_sphere
from sxvae.distributions.geometry import (
    Shape,
    carry_to_tangent,
    log_surface_area,
    uniform_directions,
)
from sxvae.distributions.hyperspherical_uniform import HypersphericalUniform
from sxvae.distributions.known_derivatives import with_derivatives


class RotationallySymmetric(Distribution, ABC):
    """A distribution on the unit sphere of R^p, p >= 2, around a mean direction.

    With t = <loc, x>, a sample is t loc + sqrt(1 - t^2) v, v uniform among the unit vectors that
    are orthogonal to `loc`; a subclass says how t is distributed.

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, shape (...), broadcast against `loc` without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.
    """

    has_rsample = True
    arg_constraints = {"loc": unit_sphere, "concentration": constraints.nonnegative}  # noqa: RUF012 (as in torch.distributions)
    support = unit_sphere

    def __init__(
        self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1 or loc.shape[-1] < 2:
            raise ValueError(
                f"loc needs a last axis of 2 or more entries; its shape is {loc.shape}"
            )
        batch_shape = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        self.loc = loc.expand(*batch_shape, -1)
        self.concentration = concentration.expand(batch_shape)
        super().__init__(batch_shape, loc.shape[-1:], validate_args)

    @property
    def _ambient(self) -> int:
        return self.event_shape[0]

    @abstractmethod
    def _sample_gap(self, concentration: Tensor) -> Tensor:
        """Draw 1 - t for each concentration, float64, with pathwise gradients."""

    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[t], the variance of t, and E[1 - t^2] / (p - 1), each of shape batch_shape."""

    @abstractmethod
    def _kl_to_uniform_terms(self, concentration: Tensor) -> tuple[Tensor, Tensor]:
        """KL to the uniform distribution at float64 concentrations, and its derivative."""

    def _kl_to_uniform(self, concentration: Tensor) -> Tensor:
        """The KL in float64, with its gradient."""
        with torch.no_grad():
            value, derivative = self._kl_to_uniform_terms(concentration.double())
        return with_derivatives(value, (concentration, derivative))

    @property
    def mode(self) -> Tensor:
        """The mean direction, shape (*batch_shape, p)."""
        return self.loc

    @property
    def mean(self) -> Tensor:
        """E[t] loc, shape (*batch_shape, p)."""
        return (self._moments()[0].unsqueeze(-1) * self.loc).to(self.loc.dtype)

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance, shape (*batch_shape, p)."""
        _, along, across = (moment.unsqueeze(-1) for moment in self._moments())
        return (across + (along - across) * self.loc.double() ** 2).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """-E log density in nats, shape batch_shape: log |S^(p-1)| less the KL to the uniform."""
        area = log_surface_area(self._ambient - 1)
        return (area - self._kl_to_uniform(self.concentration)).to(self.loc.dtype)

    def expand(self, batch_shape: Shape, _instance: Self | None = None) -> Self:
        """The same distribution with its batch shape expanded."""
        new: Self = self._get_checked_instance(type(self), _instance)  # type: ignore[no-untyped-call]
        shape = torch.Size(batch_shape)
        RotationallySymmetric.__init__(
            new,
            self.loc.expand(*shape, -1),
            self.concentration.expand(shape),
            validate_args=False,
        )
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, p), norm 1.

        Raises:
            NumericalError: if a concentration is negative or not finite.
        """
        shape = self._extended_shape(torch.Size(sample_shape))
        gap = self._sample_gap(self.concentration.expand(shape[:-1])).unsqueeze(-1)
        dtype = self.loc.dtype
        cosine, sine = (1 - gap).to(dtype), torch.sqrt(gap * (2 - gap)).to(dtype)
        around = uniform_directions(
            (*shape[:-1], self._ambient - 1), dtype=dtype, device=self.loc.device
        )
        return cosine * self.loc + sine * carry_to_tangent(self.loc, around)


def check_same_sphere(p: Distribution, q: Distribution) -> None:
    """Raise a ValueError unless the two distributions are on the same sphere."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL between distributions on S^{p.event_shape[0] - 1} and S^{q.event_shape[0] - 1} is "
            "not defined"
        )


@register_kl(RotationallySymmetric, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _kl_rotationally_symmetric_uniform(
    p: RotationallySymmetric, q: HypersphericalUniform
) -> Tensor:
    check_same_sphere(p, q)
    shape = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    concentration = p.concentration.expand(shape)
    return p._kl_to_uniform(concentration).to(p.loc.dtype)
