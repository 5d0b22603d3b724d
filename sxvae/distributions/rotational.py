"""The base of distributions whose density depends on the angle to a mean direction alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor
from torch.distributions import Distribution

from sxvae.distributions.constraints import finite_nonnegative, unit_sphere
from sxvae.distributions.geometry import Shape, log_surface_area, on_sphere
from sxvae.distributions.precision import REDUCED_TYPES, in_full_precision, promoted
from sxvae.distributions.transforms import can_read


class RotationallySymmetric(Distribution, ABC):
    """A distribution on the unit sphere of R^p, p >= 2, that is symmetric around a mean direction.

    Its density is a function of the cosine t = <loc, x> and the concentration k; k = 0 is the
    uniform distribution.

    **A new family** is a subclass. If its density is proportional to exp(k s), where s depends on t
    alone, the base `exponential_family.ExponentialFamily` does most of the work. Any other family
    implements the abstract methods and properties here: samples with pathwise gradients, its
    log-density, three moments, and the KL to and from the uniform distribution. The entropy, the
    mean and the variance of a sample's coordinates follow. Further, a family may register a KL
    between two of its members with `torch.distributions.register_kl`, and have a classmethod `fit`.

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, finite, shape (...), broadcast against `loc` without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Attributes:
        dtype: the type to which PyTorch promotes those of the parameters; results have it.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.
    """

    has_rsample = True
    arg_constraints = {"loc": unit_sphere, "concentration": finite_nonnegative}  # noqa: RUF012 (as in torch.distributions)
    support = unit_sphere

    def __init__(
        self, loc: Tensor, concentration: Tensor | float, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1 or loc.shape[-1] < 2:
            raise ValueError(
                f"loc needs a last axis of 2 or more entries; its shape is {loc.shape}"
            )
        if not isinstance(concentration, Tensor):
            concentration = torch.tensor(concentration, dtype=loc.dtype, device=loc.device)
        self.dtype = _common_type(loc, concentration)
        if not concentration.is_floating_point():
            concentration = concentration.to(self.dtype)
        batch_shape = concentration.shape
        if batch_shape != loc.shape[:-1]:
            batch_shape = torch.broadcast_shapes(loc.shape[:-1], batch_shape)
        self.loc = loc if loc.shape[:-1] == batch_shape else loc.expand(*batch_shape, -1)
        if concentration.shape != batch_shape:
            concentration = concentration.expand(batch_shape)
        self.concentration = concentration
        if validate_args is None and not can_read(loc):
            validate_args = False
        super().__init__(batch_shape, loc.shape[-1:], validate_args)
        if self.dtype not in REDUCED_TYPES:  # one parameter may still be, beside a wider one
            self.loc, self.concentration = on_sphere(self.loc), promoted(self.concentration)

    @property
    def _ambient(self) -> int:
        return self.event_shape[0]

    @abstractmethod
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, p), norm 1.

        Raises:
            NumericalError: if a concentration is negative or not finite.
        """

    @abstractmethod
    def _log_density(self, value: Tensor) -> Tensor:
        """`log_prob` in float64, of vectors that have been checked."""

    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[t], Var[t] and E[1 - t^2] / (p - 1), each of shape batch_shape.

        Autograd has to differentiate all three, E[t] twice. The other two are the variances of a
        sample's coordinate along the mean direction and of one orthogonal to it.
        """

    @abstractmethod
    def _kl_to_uniform(self) -> Tensor:
        """KL(self, uniform) in nats, float64, shape batch_shape."""

    @abstractmethod
    def _kl_from_uniform(self) -> Tensor:
        """KL(uniform, self) in nats, float64, shape batch_shape."""

    @property
    def mode(self) -> Tensor:
        """The mean direction, shape (*batch_shape, p)."""
        return self.loc.to(self.dtype)

    @property
    @in_full_precision
    def mean(self) -> Tensor:
        """E[t] loc, shape (*batch_shape, p)."""
        return (self._moments()[0].unsqueeze(-1) * self.loc).to(self.dtype)

    @property
    @in_full_precision
    def variance(self) -> Tensor:
        """The diagonal of the covariance, shape (*batch_shape, p)."""
        _, along, across = (moment.unsqueeze(-1) for moment in self._moments())
        return (across + (along - across) * self.loc.double() ** 2).to(self.dtype)

    def expand(self, batch_shape: Shape, _instance: Self | None = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = torch.Size(batch_shape)
        loc, concentration = self.loc.expand(*shape, -1), self.concentration.expand(shape)
        return self._with_parameters(loc, concentration, self.dtype, _instance)

    def promoted(self) -> Self:
        """The same distribution in float32, if it is of a reduced type, with `loc` at length 1."""
        loc, concentration = on_sphere(self.loc), promoted(self.concentration)
        return self._with_parameters(
            loc, concentration, torch.promote_types(self.dtype, torch.float32)
        )

    def _with_parameters(
        self,
        loc: Tensor,
        concentration: Tensor,
        dtype: torch.dtype,
        _instance: Self | None = None,
    ) -> Self:
        new: Self = self._get_checked_instance(type(self), _instance)  # type: ignore[no-untyped-call]
        RotationallySymmetric.__init__(new, loc, concentration, validate_args=False)
        new.dtype, new._validate_args = dtype, self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the sphere's surface, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a vector's norm is not 1.
        """
        if self._validate_args and can_read(value):
            self._validate_sample(value)
        return self._log_prob(value)

    @in_full_precision
    def _log_prob(self, value: Tensor) -> Tensor:
        return self._log_density(on_sphere(value)).to(self.dtype)

    @in_full_precision
    def entropy(self) -> Tensor:
        """-E[log density] in nats, shape batch_shape: log |S^(p-1)| - KL to the uniform."""
        area = log_surface_area(self._ambient - 1)
        return (area - self._kl_to_uniform()).to(self.dtype)


def _common_type(loc: Tensor, concentration: Tensor) -> torch.dtype:
    if loc.dtype == concentration.dtype:
        return loc.dtype
    return torch.result_type(loc, concentration)
