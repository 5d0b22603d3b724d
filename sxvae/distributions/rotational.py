"""What the distributions share whose density depends on the angle to a mean direction alone."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl

from sxvae.distributions.constraints import finite_nonnegative, unit_sphere
from sxvae.distributions.geometry import Shape, log_surface_area
from sxvae.distributions.hyperspherical_uniform import HypersphericalUniform
from sxvae.distributions.known_derivatives import with_derivatives
from sxvae.distributions.partition_table import Figures, PartitionTable
from sxvae.distributions.sampling import compiled
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.distributions.sampling.eager import draw, draw_with_gradients
from sxvae.distributions.sampling.implicit import derivative_type, in_blocks
from sxvae.distributions.sampling.wood import Gaps
from sxvae.distributions.special.quadrature import gauss_legendre

# The integrals of L'' below are over intervals that lie well away from its poles.
_PARTITION_NODES = 16
# Stands for the -inf that the statistic may be opposite to the mean direction.
LOWEST_STATISTIC = -690.0


class LogPartition(NamedTuple):
    """L(k) = log E[exp(k s)] under the uniform distribution, float64, and its derivatives.

    Attributes:
        value: L; 0 at k = 0.
        slope: L', the mean of s under the distribution.
        curvature: L'', the variance of s.
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor


class RotationallySymmetric(Distribution, ABC):
    """An exponential family on the unit sphere of R^p, p >= 2, around a mean direction.

    Its density is proportional to exp(k s), s a function of t = <loc, x> that is 0 at the mean
    direction and negative elsewhere. A sample is t loc + sqrt(1 - t^2) v, v uniform among the unit
    vectors that are orthogonal to `loc`. A subclass says what s is and how t is distributed.

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, finite, shape (...), broadcast against `loc` without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.
    """

    _compiled_number: ClassVar[int]
    _is_log_singular: ClassVar[bool]  # whether s is infinite opposite to the mean direction

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
        batch_shape = concentration.shape
        if batch_shape != loc.shape[:-1]:
            batch_shape = torch.broadcast_shapes(loc.shape[:-1], batch_shape)
        self.loc = loc if loc.shape[:-1] == batch_shape else loc.expand(*batch_shape, -1)
        if concentration.shape != batch_shape:
            concentration = concentration.expand(batch_shape)
        self.concentration = concentration
        self._known_figures: tuple[Tensor, Figures] | None = None
        super().__init__(batch_shape, loc.shape[-1:], validate_args)

    @property
    def _ambient(self) -> int:
        return self.event_shape[0]

    @abstractmethod
    def _statistic(self, value: Tensor) -> Tensor:
        """The s of unit vectors, float64, accurate near the mean direction."""

    @abstractmethod
    def _log_partition(self, concentration: Tensor) -> LogPartition:
        """L and its derivatives at float64 concentrations; L and L' are differentiable."""

    @abstractmethod
    def _curvature(self, concentration: Tensor) -> Tensor:
        """L'' alone."""

    @abstractmethod
    def _near_uniform(self, concentration: Tensor) -> Tensor:
        """Where k L' - L would cancel: L'' has no pole within half such a k of the k axis."""

    @abstractmethod
    def _draw_gaps(self, concentration: Tensor) -> Gaps:
        """Draw 1 - t for each concentration, without gradients."""

    @abstractmethod
    def _compiled_gaps(self, concentration: Tensor, count: int) -> Gaps:
        """The same for the compiled functions: so many samples of the rows (rows,) in turn."""

    @abstractmethod
    def _gap_derivative(
        self, gaps: Gaps, concentration: Tensor, loss: Tensor, dtype: torch.dtype
    ) -> Tensor:
        """d(1 - t)/dk at fixed probability.

        Args:
            gaps: the samples', shape (n,).
            concentration: k, float64, shape (n,).
            loss: the mean of -s, shape (n,).
            dtype: what the quadrature is computed in.
        """

    @abstractmethod
    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[t], the variance of t, and E[1 - t^2] / (p - 1), each of shape batch_shape."""

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
        loc, concentration = self.loc, self.concentration
        if runs_compiled(loc):
            return compiled.draw(loc, concentration, torch.Size(sample_shape), self._family())
        shape = self._extended_shape(torch.Size(sample_shape))
        loc, concentration = loc.expand(shape), concentration.expand(shape[:-1])
        with torch.no_grad():
            gaps = self._draw_gaps(concentration)
        if torch.is_grad_enabled() and (loc.requires_grad or concentration.requires_grad):
            return draw_with_gradients(loc, concentration, gaps, self._gap_derivatives)
        return draw(loc, gaps)

    def _family(self) -> compiled.Family:
        return compiled.Family(
            self._compiled_number,
            self._is_log_singular,
            self._compiled_gaps,
            lambda: self._figures().loss,
        )

    def _gap_derivatives(self, gaps: Gaps) -> Tensor:
        """d(1 - t)/dk of samples of any shape."""
        shape = gaps.near.shape
        arguments = (*gaps, self.concentration.detach().double(), self._figures().loss)
        dtype = derivative_type(
            self.concentration, self._ambient, log_singular=self._is_log_singular
        )

        def derivative(near: Tensor, far: Tensor, k: Tensor, loss: Tensor) -> Tensor:
            return self._gap_derivative(Gaps(near, far), k, loss, dtype)

        flat = [each.expand(shape).reshape(-1) for each in arguments]
        return in_blocks(derivative, *flat).view(shape)

    def _figures(self) -> Figures:
        """Of the concentrations, without gradients; kept for the next who asks."""
        if self._known_figures is None or self._known_figures[0] is not self.concentration:
            with torch.no_grad():
                table = partition_table(type(self), self._ambient)
                k = self.concentration
                figures = compiled.look_up(table, k) if runs_compiled(k) else table(k)
                self._known_figures = k, figures
        return self._known_figures[1]

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the sphere's surface, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a vector's norm is not 1.
        """
        if self._validate_args:
            self._validate_sample(value)
        concentration = self.concentration.double()
        statistic = self._statistic(value)
        at_mode = -log_surface_area(self._ambient - 1) - self._log_partition(concentration).value
        density = at_mode + concentration * statistic
        vanishes = (statistic <= LOWEST_STATISTIC) & (concentration > 0)
        return torch.where(vanishes, -torch.inf, density).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """-E log density in nats, shape batch_shape: log |S^(p-1)| less the KL to the uniform."""
        area = log_surface_area(self._ambient - 1)
        return (area - self._kl_to_uniform()).to(self.loc.dtype)

    def _kl_to_uniform(self) -> Tensor:
        """K L' - L in float64, shape batch_shape; its derivative is k L''."""
        figures, k = self._figures(), self.concentration
        return with_derivatives(figures.kl, (k, k.detach().double() * figures.curvature))

    def _exact_figures(self, concentration: Tensor) -> Figures:
        """The figures at float64 concentrations, without gradients."""
        k, partition = concentration, self._log_partition(concentration)
        kl = torch.where(
            self._near_uniform(k),
            self._kl_near_uniform(k),
            k * partition.slope - partition.value,
        )
        return Figures(kl, -partition.slope, partition.curvature)

    def _kl_near_uniform(self, concentration: Tensor) -> Tensor:
        """The same as the integral of its derivative, which does not cancel."""
        zero = torch.zeros_like(concentration)
        return self._integrals_of_curvature(concentration, zero)[0]

    def _kl_to_aligned(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """KL from concentration k to q, for one mean direction: L(q) - L(k) - (q - k) L'(k)."""
        with torch.no_grad():
            k, other = ours.double(), theirs.double()
            step, largest = other - k, torch.maximum(k, other)
            mine, its = self._log_partition(k), self._log_partition(other)
            near = (step.abs() <= largest / 2) | self._near_uniform(largest)
            value, slope = self._integrals_of_curvature(k, other)
            value = torch.where(near, value, its.value - mine.value - step * mine.slope)
            slope = torch.where(near, slope, its.slope - mine.slope)
        return with_derivatives(value, (ours, -step * mine.curvature), (theirs, slope))

    def _integrals_of_curvature(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """From `start` to `end`, of (end - t) L''(t) and of L''(t)."""
        step = end - start
        nodes, weights = gauss_legendre(_PARTITION_NODES, start.device)
        points = start.unsqueeze(-1) + step.unsqueeze(-1) * nodes
        curvature = self._curvature(points)
        return step**2 * (curvature @ (weights * (1 - nodes))), step * (curvature @ weights)


@functools.cache
def partition_table(family: type[RotationallySymmetric], ambient: int) -> PartitionTable:
    """The table of a family on the unit sphere of R^p."""
    with torch.inference_mode(False), torch.no_grad():
        pole = torch.zeros(ambient, dtype=torch.float64)
        pole[0] = 1
        return PartitionTable(family(pole, 0.0, validate_args=False)._exact_figures)


def common_batch_shape(p: Distribution, q: Distribution) -> torch.Size:
    """The batch shape of a KL between two; a ValueError unless they are on the same sphere."""
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL between distributions on S^{p.event_shape[0] - 1} and S^{q.event_shape[0] - 1} is "
            "not defined"
        )
    shape: torch.Size = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    return shape


@register_kl(RotationallySymmetric, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _kl_rotationally_symmetric_uniform(
    p: RotationallySymmetric, q: HypersphericalUniform
) -> Tensor:
    return p._kl_to_uniform().to(p.loc.dtype).expand(common_batch_shape(p, q))


@register_kl(HypersphericalUniform, RotationallySymmetric)  # type: ignore[untyped-decorator]
def _kl_uniform_rotationally_symmetric(
    p: HypersphericalUniform, q: RotationallySymmetric
) -> Tensor:
    """The uniform distribution has a concentration of 0 and every mean direction."""
    theirs = q.concentration.expand(common_batch_shape(p, q))
    return q._kl_to_aligned(torch.zeros_like(theirs), theirs).to(q.loc.dtype)


@register_kl(HypersphericalUniform, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _kl_uniform_uniform(p: HypersphericalUniform, q: HypersphericalUniform) -> Tensor:
    return torch.zeros(common_batch_shape(p, q), dtype=p.dtype, device=p.device)
