"""The base of distributions whose density depends on the angle to a mean direction alone."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torch.distributions import Distribution

from sxvae.distributions.constraints import finite_nonnegative, unit_sphere
from sxvae.distributions.geometry import Shape, log_surface_area, on_sphere
from sxvae.distributions.known_derivatives import with_derivatives, with_derivatives_of
from sxvae.distributions.partition_table import PartitionMoments, PartitionTable
from sxvae.distributions.precision import (
    REDUCED_TYPES,
    in_full_precision,
    promoted,
    without_autocast,
)
from sxvae.distributions.sampling import compiled, operations, traced
from sxvae.distributions.sampling.backend import is_traced, runs_compiled
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.eager import draw, draw_with_gradients
from sxvae.distributions.sampling.implicit import apply_to_row_chunks, derivative_type
from sxvae.distributions.special.quadrature import gauss_legendre
from sxvae.distributions.transforms import can_read, is_transforming

# For the integrals of L'' below, whose intervals lie well away from its poles.
_PARTITION_NODES = 16
# The lowest value of a statistic that is -inf opposite to the mean direction.
LOWEST_STATISTIC = -690.0


class LogPartition(NamedTuple):
    """The log-partition function L(k) = log E[exp(k s)] and its derivatives, float64.

    The expectation is under the uniform distribution.

    Attributes:
        value: L; 0 at k = 0.
        slope: L', which is E[s] under the distribution.
        curvature: L'', which is Var[s].
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor


class RotationallySymmetric(Distribution, ABC):
    """An exponential family on the unit sphere of R^p, p >= 2, around a mean direction.

    Its density with respect to the uniform distribution is exp(k s - L(k)). The statistic s is a
    function of the cosine t = <loc, x>: 0 at the mean direction and negative elsewhere. A sample is
    t loc + sqrt(1 - t^2) v, where v is uniform among the unit vectors orthogonal to `loc`.

    **A new family** is a subclass that implements the abstract methods: its statistic, its
    log-partition function, how cosines are drawn and how they change with k, and three moments.
    Samples, their gradients, log-density, entropy and KL to and from the uniform distribution
    follow. PyTorch computes them on every device. Further, a family may

    - set `_is_log_singular`, if s is -inf opposite to the mean direction;
    - set `_kernel`, if `sxvae.kernels` has a compiled derivative of its cosines for the CPU;
    - override `_curvature` and `_kl_near_uniform` with something faster;
    - register a KL between two of its members with `torch.distributions.register_kl`, and have a
      classmethod `fit`.

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

    # The family's number in `sxvae.kernels.constants`; None if only PyTorch draws its samples.
    _kernel: ClassVar[int | None] = None
    # Whether s is -inf opposite to the mean direction.
    _is_log_singular: ClassVar[bool] = False

    has_rsample = True
    arg_constraints = {"loc": unit_sphere, "concentration": finite_nonnegative}  # noqa: RUF012 (as in torch.distributions)
    support = unit_sphere

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        operations.FAMILIES[_name(cls)] = functools.partial(_at_pole, cls)

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
        self._cached_moments: tuple[Tensor, PartitionMoments] | None = None
        if validate_args is None and not can_read(loc):
            validate_args = False
        super().__init__(batch_shape, loc.shape[-1:], validate_args)
        if self.dtype not in REDUCED_TYPES:  # one parameter may still be, beside a wider one
            self.loc, self.concentration = on_sphere(self.loc), promoted(self.concentration)

    @property
    def _ambient(self) -> int:
        return self.event_shape[0]

    @abstractmethod
    def _statistic(self, value: Tensor) -> Tensor:
        """S of unit vectors, shape (..., p) to (...), float64.

        It has to keep its digits near the mean direction, and is at least `LOWEST_STATISTIC`.
        """

    @abstractmethod
    def _log_partition(self, concentration: Tensor) -> LogPartition:
        """L and its derivatives at float64 concentrations of any shape.

        Autograd has to differentiate all three, `value` and `slope` twice.
        """

    @abstractmethod
    def _near_uniform(self, concentration: Tensor) -> Tensor:
        """Whether the KL is computed as the integral of t L''(t) from 0 to k, a bool each.

        That is needed for small k, where k L' - L would cancel. It is accurate as long as the poles
        of L'' in the complex plane are at least k/2 away from the interval from 0 to k.
        """

    @abstractmethod
    def _draw_cosines(self, concentration: Tensor) -> Cosines:
        """Draw the cosine of one sample for each concentration, any shape, without gradients.

        Raises:
            NumericalError: if a concentration is negative or not finite; `check_concentrations`
                does this.
        """

    @abstractmethod
    def _cosine_derivative(
        self, cosines: Cosines, concentration: Tensor, mean_minus_s: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """d(1 - t)/dk of samples at fixed probability, shape (n,), float64.

        Where there is no closed form, `sampling.implicit` integrates.

        Args:
            cosines: of the samples, shape (n,).
            concentration: k, float64, shape (n,).
            mean_minus_s: E[-s], float64, shape (n,).
            dtype: the type that a quadrature is computed in.
        """

    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[t], Var[t] and E[1 - t^2] / (p - 1), each of shape batch_shape.

        Autograd has to differentiate all three, E[t] twice. The other two are the variances of a
        sample's coordinate along the mean direction and of one orthogonal to it.
        """

    def _curvature(self, concentration: Tensor) -> Tensor:
        """L'' at float64 concentrations of any shape; autograd has to differentiate it."""
        return self._log_partition(concentration).curvature

    def _draw_cosines_of_rows(self, concentration: Tensor, count: int) -> Cosines:
        """Draw cosines for the compiled functions, shape (count,).

        Args:
            concentration: k, shape (rows,); sample i belongs to row i % rows.
            count: the number of samples, a multiple of the rows.
        """
        repeated = concentration.repeat(count // max(len(concentration), 1))
        return Cosines(*(each.reshape(count) for each in self._draw_cosines(repeated)))

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

    @in_full_precision
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, p), norm 1.

        Raises:
            NumericalError: if a concentration is negative or not finite.
        """
        loc, concentration = self.loc.to(self.dtype), self.concentration
        if self._kernel is not None and runs_compiled(loc):
            family = self._compiled_family()
            return compiled.draw(loc, concentration, torch.Size(sample_shape), family)
        shape = self._extended_shape(torch.Size(sample_shape))
        loc, concentration = loc.expand(shape), concentration.expand(shape[:-1])
        if loc.is_meta:
            return loc * concentration.unsqueeze(-1).to(self.dtype)  # for its shape
        if is_traced():
            return traced.draw(loc, concentration, _name(type(self)), self._cosine_derivatives)
        with torch.no_grad():
            cosines = self._draw_cosines(concentration)
        if torch.is_grad_enabled() and (loc.requires_grad or concentration.requires_grad):
            return draw_with_gradients(loc, concentration, cosines, self._cosine_derivatives)
        return draw(loc, cosines)

    def _compiled_family(self) -> compiled.Family:
        assert self._kernel is not None
        return compiled.Family(
            self._kernel,
            self._is_log_singular,
            self._draw_cosines_of_rows,
            lambda: self._partition_moments(self.concentration).mean_minus_s,
            self._cosine_derivatives,
        )

    def _cosine_derivatives(self, concentration: Tensor, cosines: Cosines) -> Tensor:
        """`_cosine_derivative` for samples of any shape, without gradients."""
        concentration = concentration.detach()
        if torch.compiler.is_compiling():
            family = _name(type(self)), self._ambient
            slope: Tensor = operations.cosine_derivatives(concentration, *cosines, *family)
            return slope
        shape = cosines.one_minus.shape
        means = self._partition_moments(concentration).mean_minus_s
        arguments = (*cosines, concentration.double(), means)
        dtype = derivative_type(concentration, self._ambient, log_singular=self._is_log_singular)

        def derivative(one_minus: Tensor, one_plus: Tensor, k: Tensor, mean: Tensor) -> Tensor:
            return self._cosine_derivative(Cosines(one_minus, one_plus), k, mean, dtype)

        flat = [each.expand(shape).reshape(-1) for each in arguments]
        with torch.no_grad(), without_autocast():
            return apply_to_row_chunks(derivative, *flat).view(shape)

    def _partition_moments(self, concentration: Tensor) -> PartitionMoments:
        """KL to the uniform, E[-s] and Var[s], without gradients; kept for the last argument."""
        if torch.compiler.is_compiling():
            k = concentration.detach()
            moments = operations.partition_moments(k, _name(type(self)), self._ambient)
            return PartitionMoments(*moments.unbind(-1))
        if self._cached_moments is not None and self._cached_moments[0] is concentration:
            return self._cached_moments[1]
        with torch.no_grad():
            table = partition_table(type(self), self._ambient)
            if runs_compiled(concentration):
                found = compiled.look_up(table, concentration)
            else:
                found = table(concentration)
        if not is_traced():  # tensors of a trace are of no use outside of it
            self._cached_moments = concentration, found
        return found

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
        value, concentration = on_sphere(value), self.concentration.double()
        statistic = self._statistic(value)
        at_mode = -log_surface_area(self._ambient - 1) - self._log_partition(concentration).value
        density = at_mode + concentration * statistic
        vanishes = (statistic <= LOWEST_STATISTIC) & (concentration > 0)
        return torch.where(vanishes, -torch.inf, density).to(self.dtype)

    @in_full_precision
    def entropy(self) -> Tensor:
        """-E[log density] in nats, shape batch_shape: log |S^(p-1)| - KL to the uniform."""
        area = log_surface_area(self._ambient - 1)
        return (area - self._kl_to_uniform()).to(self.dtype)

    def _kl_to_uniform(self) -> Tensor:
        """K L' - L in float64, shape batch_shape; its derivative is k L''."""

        def kl(k: Tensor) -> Tensor:
            return self._partition_moments(k).kl

        def slope(k: Tensor) -> tuple[Tensor]:
            return (k.double() * self._variance(k),)

        return with_derivatives(kl, slope, self.concentration)

    def _variance(self, concentration: Tensor) -> Tensor:
        """Var[s] of the table, differentiated as `_curvature` is."""
        if not torch.is_grad_enabled() and not is_transforming():
            return self._partition_moments(concentration).variance
        return with_derivatives_of(
            lambda k: self._partition_moments(k).variance,
            concentration,
            stand_in=self._curvature(concentration.double()),
        )

    def _exact_partition_moments(self, concentration: Tensor) -> PartitionMoments:
        """KL to the uniform, E[-s] and Var[s] at float64 concentrations, without the table."""
        k, partition = concentration, self._log_partition(concentration)
        kl = torch.where(
            self._near_uniform(k),
            self._kl_near_uniform(k),
            k * partition.slope - partition.value,
        )
        return PartitionMoments(kl, -partition.slope, partition.curvature)

    def _kl_near_uniform(self, concentration: Tensor) -> Tensor:
        """The KL to the uniform as the integral of its derivative, which does not cancel."""
        zero = torch.zeros_like(concentration)
        return self._integrals_of_curvature(concentration, zero)[0]

    def _kl_to_aligned(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """KL(concentration k, concentration q) for equal mean directions, k `ours`, q `theirs`.

        It is L(q) - L(k) - (q - k) L'(k), or an integral of L'' where that would cancel.
        """

        def value(k: Tensor, q: Tensor) -> Tensor:
            return self._kl_and_slope(k, q)[0]

        def slopes(k: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
            by_ours = -(q - k) * self._curvature(k)
            return by_ours, with_derivatives(slope, curvatures, k, q)

        def slope(k: Tensor, q: Tensor) -> Tensor:
            return self._kl_and_slope(k, q)[1]

        def curvatures(k: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
            return -self._curvature(k), self._curvature(q)

        return with_derivatives(value, slopes, ours.double(), theirs.double())

    def _kl_and_slope(self, k: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """The KL for equal mean directions, and its derivative by `q`, which is L'(q) - L'(k)."""
        step, largest = q - k, torch.maximum(k, q)
        at_k, at_q = self._log_partition(k), self._log_partition(q)
        cancels = (step.abs() <= largest / 2) | self._near_uniform(largest)
        value, slope = self._integrals_of_curvature(k, q)
        value = torch.where(cancels, value, at_q.value - at_k.value - step * at_k.slope)
        return value, torch.where(cancels, slope, at_q.slope - at_k.slope)

    def _integrals_of_curvature(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """The integrals of (end - t) L''(t) and of L''(t) over t from `start` to `end`."""
        step = end - start
        nodes, weights = gauss_legendre(_PARTITION_NODES, start.device)
        points = start.unsqueeze(-1) + step.unsqueeze(-1) * nodes
        curvature = self._curvature(points)
        return step**2 * (curvature @ (weights * (1 - nodes))), step * (curvature @ weights)


def _common_type(loc: Tensor, concentration: Tensor) -> torch.dtype:
    if loc.dtype == concentration.dtype:
        return loc.dtype
    return torch.result_type(loc, concentration)


def _name(family: type[RotationallySymmetric]) -> str:
    return f"{family.__module__}.{family.__qualname__}"


@functools.cache
def _at_pole(family: type[RotationallySymmetric], ambient: int) -> RotationallySymmetric:
    """The distribution around the first axis with k = 0, whose methods take concentrations."""
    with torch.inference_mode(False), torch.no_grad():
        pole = torch.zeros(ambient, dtype=torch.float64)
        pole[0] = 1
        return family(pole, 0.0, validate_args=False)


@functools.cache
def partition_table(family: type[RotationallySymmetric], ambient: int) -> PartitionTable:
    """The table of a family on the unit sphere of R^p."""
    with torch.inference_mode(False), torch.no_grad():
        return PartitionTable(_at_pole(family, ambient)._exact_partition_moments)
