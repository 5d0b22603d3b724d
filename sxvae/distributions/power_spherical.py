"""The power spherical distribution."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.distributions import Gamma, register_kl

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.fitting import checked_points
from sxvae.distributions.known_derivatives import with_derivatives
from sxvae.distributions.power_spherical_fit import best_concentration, best_direction
from sxvae.distributions.rotational import (
    LOWEST_STATISTIC,
    LogPartition,
    RotationallySymmetric,
    common_batch_shape,
)
from sxvae.distributions.sampling.implicit import Side, integral_over_side
from sxvae.distributions.sampling.wood import Gaps
from sxvae.distributions.special.gamma_differences import (
    digamma_difference,
    log_gamma_difference,
    trigamma_difference,
)
from sxvae.distributions.special.power_spherical_quadrature import mean_log_half
from sxvae.kernels.constants import POWER_SPHERICAL

# The sine of an angle whose gap is this is not 0.
_SMALLEST_GAP = 1e-280


class PowerSpherical(RotationallySymmetric):
    """The power spherical distribution on the unit sphere of R^p, p >= 2 [3].

    Its density is proportional to (1 + <loc, x>)^k; k = 0 is the uniform distribution. With
    t = <loc, x>, (1 + t) / 2 has the distribution Beta((p-1)/2 + k, (p-1)/2). Samples have exact
    pathwise gradients with respect to both parameters [5].

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, finite, a number or a tensor of shape (...), broadcast against `loc`
            without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Figures have the type of `loc`; they are computed in float64.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.

    Example:
        >>> import torch
        >>> from sxvae.distributions import PowerSpherical
        >>> q = PowerSpherical(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(10.0))
        >>> q.rsample((5,)).shape
        torch.Size([5, 3])
    """

    _compiled_number = POWER_SPHERICAL
    _is_log_singular = True

    def _shapes(self, concentration: Tensor) -> tuple[Tensor, float]:
        """The Beta distribution's parameters: (p-1)/2 + k, and (p-1)/2."""
        half = (self._ambient - 1) / 2
        return concentration + half, half

    def _statistic(self, value: Tensor) -> Tensor:
        """log((1 + t) / 2), from the distance to loc or that to its opposite, the shorter one."""
        x, loc = value.double(), self.loc.double()
        near = -(x - loc).square().sum(dim=-1) / 4
        far = (x + loc).square().sum(dim=-1) / 4
        log_far = torch.log(far.clamp_min(math.exp(LOWEST_STATISTIC)))
        return torch.where(near > -0.5, torch.log1p(near.clamp_min(-0.75)), log_far)

    def _log_partition(self, concentration: Tensor) -> LogPartition:
        alpha, beta = self._shapes(concentration)
        return LogPartition(
            _at_zero(beta) - log_gamma_difference(alpha, beta),
            -digamma_difference(alpha, beta),
            self._curvature(concentration),
        )

    def _curvature(self, concentration: Tensor) -> Tensor:
        return -trigamma_difference(*self._shapes(concentration))

    def _near_uniform(self, concentration: Tensor) -> Tensor:
        """The first pole of psi'(alpha) is at k = -(p-1)/2."""
        return concentration <= (self._ambient - 1) / 2

    def _draw_gaps(self, concentration: Tensor) -> Gaps:
        """As a ratio of Gamma variates."""
        wide = concentration.double()
        check_concentrations(wide, "power spherical", self._ambient)
        alpha, beta = self._shapes(wide)
        one = torch.ones_like(wide)
        towards, away = (
            Gamma(shape, one, validate_args=False).sample() for shape in (alpha, beta * one)
        )
        half = (towards + away) / 2
        return Gaps(*((part / half).clamp_min_(_SMALLEST_GAP) for part in (away, towards)))

    def _compiled_gaps(self, concentration: Tensor, count: int) -> Gaps:
        gaps = self._draw_gaps(concentration.repeat(count // max(len(concentration), 1)))
        return Gaps(*(each.reshape(count) for each in gaps))

    def _gap_derivative(
        self, gaps: Gaps, concentration: Tensor, loss: Tensor, dtype: torch.dtype
    ) -> Tensor:
        return _gap_derivative(gaps, concentration, loss, (self._ambient - 3) / 2, dtype)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        concentration = self.concentration.double()
        alpha, beta = self._shapes(concentration)
        total = alpha + beta
        product = 4 * alpha * beta / (total * (total + 1))  # E[1 - t^2]
        mean = with_derivatives(
            (concentration / total).detach(), (concentration, 2 * beta / total.detach() ** 2)
        )
        return mean, product / total, product / (2 * beta)

    @classmethod
    def fit(cls, x: Tensor) -> PowerSpherical:
        """The maximum-likelihood distribution for unit vectors.

        The likelihood's `loc` is not the mean direction but the one of the largest mean of
        log(1 + <loc, x>), found by Newton steps from there or, where vectors lie on both sides of
        the sphere and there may be several maxima, from the best of many directions. Vectors that
        are spread out evenly have a concentration near 0, but hardly 0: some direction fits a
        finite set at least as well as the uniform distribution does.

        Args:
            x: unit vectors, shape (n, *batch_shape, p), n >= 2. No gradients.

        Raises:
            ValueError: if the shape or a norm can't be, or if all vectors of a set coincide: then
                the likelihood has no maximum.
        """
        points = checked_points(x).values.cpu()
        batch_shape, ambient = x.shape[1:-1], x.shape[-1]
        loc = torch.empty((batch_shape.numel(), ambient), dtype=torch.float64)
        statistic = torch.empty(batch_shape.numel(), dtype=torch.float64)
        for i, each in enumerate(points.reshape(len(x), -1, ambient).unbind(dim=1)):
            direction, mean_statistic = best_direction(each.numpy())
            loc[i], statistic[i] = torch.from_numpy(direction), mean_statistic
        concentration = best_concentration(statistic, ambient)
        shape = (*batch_shape, ambient)
        return cls(loc.view(shape).to(x), concentration.view(batch_shape).to(x))


@functools.lru_cache(maxsize=1024)
def _at_zero(beta: float) -> float:
    """Log Gamma(2 beta) - log Gamma(beta)."""
    return log_gamma_difference(torch.tensor(beta, dtype=torch.float64), beta).item()


def _gap_derivative(
    gaps: Gaps, concentration: Tensor, loss: Tensor, power: float, dtype: torch.dtype
) -> Tensor:
    """d(1 - t)/dk at fixed probability [5].

    The density of y = 1 - t is proportional to y^power (2-y)^(k + power), the statistic is
    log(1 - y/2).
    """
    near, far = gaps
    statistic = torch.where(near < 1, torch.log1p(-near / 2), torch.log(far / 2))
    is_near = statistic >= -loss
    distance = torch.where(is_near, near, far)
    ratio = (distance / torch.where(is_near, far, near)).to(dtype)
    at_far = concentration + power
    first, second = (
        torch.where(condition, power, at_far).to(dtype) for condition in (is_near, ~is_near)
    )
    deviation = (statistic + loss).abs().to(dtype).unsqueeze(-1)
    is_near, column, at_end, at_other = (
        each.unsqueeze(-1) for each in (is_near, ratio, first, second)
    )

    def integrand(u: Tensor) -> tuple[Tensor, Tensor]:
        log_end, log_other = torch.log1p(-u), torch.log1p(column * u)
        log_density = (at_end * log_end).addcmul_(at_other, log_other)
        return log_density, torch.where(is_near, log_other, log_end.neg_()).add_(deviation)

    side = Side(ratio, first, second, 0.0)
    return -2 * distance * integral_over_side(side, integrand, log_singular=True)


@register_kl(PowerSpherical, PowerSpherical)  # type: ignore[untyped-decorator]
def _kl_power_spherical_power_spherical(p: PowerSpherical, q: PowerSpherical) -> Tensor:
    """The KL if the mean directions agreed, and k_q times what its statistic loses by theirs."""
    shape = common_batch_shape(p, q)
    ours, theirs = p.concentration.expand(shape), q.concentration.expand(shape)
    gap = ((p.loc.double() - q.loc.double()).square().sum(dim=-1) / 2).clamp_max(2)
    with torch.no_grad():
        k, other = ours.double(), theirs.double()
        aligned, apart = p._log_partition(k), mean_log_half(k, gap, p._ambient)
        loss = aligned.slope - apart.value
        by_ours = aligned.curvature - apart.by_concentration
    lost = with_derivatives(
        other * loss, (ours, other * by_ours), (theirs, loss), (gap, -other * apart.by_gap)
    )
    return (p._kl_to_aligned(ours, theirs) + lost).to(p.loc.dtype)
