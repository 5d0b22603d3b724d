"""The power spherical distribution."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.distributions import Gamma, register_kl

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.divergences import common_batch_shape
from sxvae.distributions.exponential_family import (
    LOWEST_STATISTIC,
    ExponentialFamily,
    LogPartition,
)
from sxvae.distributions.fitting import checked_points
from sxvae.distributions.known_derivatives import with_derivatives, without_derivatives
from sxvae.distributions.power_spherical_fit import best_concentration, best_direction
from sxvae.distributions.precision import in_full_precision
from sxvae.distributions.sampling import compiled
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.implicit import Side, integral_over_side
from sxvae.distributions.special.gamma_differences import (
    digamma_difference,
    log_gamma_difference,
    trigamma_difference,
)
from sxvae.distributions.special.power_spherical_quadrature import mean_log_half
from sxvae.kernels.constants import POWER_SPHERICAL

# The smallest 1 - t and 1 + t: the sine of an angle with this cosine t is not 0.
_SMALLEST = 1e-280


class PowerSpherical(ExponentialFamily):
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

    Everything but samples is computed in float64; results have the parameters' type.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.

    Example:
        >>> import torch
        >>> from torch.distributions import kl_divergence
        >>> from sxvae.distributions import HypersphericalUniform, PowerSpherical
        >>> concentration = torch.tensor([0.0, 10.0], requires_grad=True)
        >>> q = PowerSpherical(torch.tensor([0.0, 0.0, 1.0]), concentration)  # two on S^2
        >>> q.rsample((5,)).shape
        torch.Size([5, 2, 3])
        >>> q.mean.detach()
        tensor([[0.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.8333]])
        >>> kl_divergence(q, HypersphericalUniform(2)).detach()
        tensor([0.0000, 1.4888])
    """

    _kernel = POWER_SPHERICAL
    _is_log_singular = True

    def _shapes(self, concentration: Tensor) -> tuple[Tensor, float]:
        """The Beta distribution's parameters: (p-1)/2 + k, and (p-1)/2."""
        half = (self._ambient - 1) / 2
        return concentration + half, half

    def _statistic(self, value: Tensor) -> Tensor:
        """log((1 + t) / 2), from the distance to loc or to -loc, whichever is shorter."""
        x, loc = value.double(), self.loc.double()
        minus_half_one_minus = -(x - loc).square().sum(dim=-1) / 4  # (t - 1) / 2
        half_one_plus = (x + loc).square().sum(dim=-1) / 4  # (t + 1) / 2
        return torch.where(
            minus_half_one_minus > -0.5,
            torch.log1p(minus_half_one_minus.clamp_min(-0.75)),
            torch.log(half_one_plus.clamp_min(math.exp(LOWEST_STATISTIC))),
        )

    def _log_partition(self, concentration: Tensor) -> LogPartition:
        alpha, beta = self._shapes(concentration)
        return LogPartition(
            _log_gamma_difference_at_zero(beta) - log_gamma_difference(alpha, beta),
            -digamma_difference(alpha, beta),
            self._curvature(concentration),
        )

    def _curvature(self, concentration: Tensor) -> Tensor:
        return -trigamma_difference(*self._shapes(concentration))

    def _near_uniform(self, concentration: Tensor) -> Tensor:
        """Up to k = (p-1)/2: the first pole of L'', a difference of trigammas, is at -(p-1)/2."""
        return concentration <= (self._ambient - 1) / 2

    def _draw_cosines(self, concentration: Tensor) -> Cosines:
        """As ratios of Gamma variates."""
        wide = concentration.double()
        check_concentrations(wide, "power spherical", self._ambient)
        alpha, beta = self._shapes(wide)
        one = torch.ones_like(wide)
        towards, away = (
            Gamma(shape, one, validate_args=False).sample() for shape in (alpha, beta * one)
        )
        half = (towards + away) / 2
        return Cosines(*((part / half).clamp_min_(_SMALLEST) for part in (away, towards)))

    def _draw_cosines_of_rows(self, concentration: Tensor, count: int) -> Cosines:
        cosines = compiled.draw_cosines(concentration, count, self._ambient, self._kernel)
        # There are none if a concentration is invalid: this function then names it in its error.
        return cosines or self._draw_cosines(concentration)

    def _cosine_derivative(
        self, cosines: Cosines, concentration: Tensor, mean_minus_s: Tensor, dtype: torch.dtype
    ) -> Tensor:
        if self._ambient == 3:  # ((1 + t) / 2)^(k + 1) is the distribution function
            return cosines.one_plus * _statistic(cosines) / (concentration + 1)
        power = (self._ambient - 3) / 2
        return _one_minus_cosine_derivative(cosines, concentration, mean_minus_s, power, dtype)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        concentration = self.concentration.double()
        alpha, beta = self._shapes(concentration)
        total = alpha + beta
        product = 4 * alpha * beta / (total * (total + 1))  # E[1 - t^2]
        mean = with_derivatives(
            lambda k: k / (k + beta + beta),
            lambda k: (2 * beta / (k + beta + beta) ** 2,),
            concentration,
        )
        return mean, product / total, product / (2 * beta)

    @classmethod
    def fit(cls, x: Tensor) -> PowerSpherical:
        """The maximum-likelihood distribution for unit vectors.

        Its `loc` is not the direction of the vectors' mean, but the one with the largest mean of
        log(1 + <loc, x>). Newton steps find it from the mean's direction. Where vectors lie on both
        sides of the sphere there may be several maxima, and the steps start at the best of many
        directions. For vectors that are spread out evenly the concentration is close to 0, but
        seldom 0: some direction fits a finite set at least as well as the uniform distribution.

        Args:
            x: unit vectors, shape (n, *batch_shape, p), n >= 2. No gradients.

        Raises:
            ValueError: if the shape is another, a norm is not 1, or all vectors of a set coincide:
                then the likelihood has no maximum.
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
def _log_gamma_difference_at_zero(beta: float) -> float:
    """Log Gamma(2 beta) - log Gamma(beta), the difference at k = 0."""
    return log_gamma_difference(torch.tensor(beta, dtype=torch.float64), beta).item()


def _statistic(cosines: Cosines) -> Tensor:
    """log((1 + t) / 2), from 1 - t or 1 + t, whichever has it to all digits."""
    one_minus, one_plus = cosines
    return torch.where(one_minus < 1, torch.log1p(-one_minus / 2), torch.log(one_plus / 2))


def _one_minus_cosine_derivative(
    cosines: Cosines,
    concentration: Tensor,
    mean_minus_s: Tensor,
    power: float,
    dtype: torch.dtype,
) -> Tensor:
    """d(1 - t)/dk at fixed probability [5].

    The density of y = 1 - t is proportional to y^power (2-y)^(k + power), and the statistic is
    log(1 - y/2).
    """
    one_minus, one_plus = cosines
    statistic = _statistic(cosines)
    is_near = statistic >= -mean_minus_s  # integrate over the side of the mean direction
    distance = torch.where(is_near, one_minus, one_plus)
    ratio = (distance / torch.where(is_near, one_plus, one_minus)).to(dtype)
    power_of_one_plus = concentration + power
    first, second = (
        torch.where(condition, power, power_of_one_plus).to(dtype)
        for condition in (is_near, ~is_near)
    )
    deviation = (statistic + mean_minus_s).abs().to(dtype).unsqueeze(-1)
    is_near, column, at_end, at_other = (
        each.unsqueeze(-1) for each in (is_near, ratio, first, second)
    )

    def integrand(u: Tensor) -> tuple[Tensor, Tensor]:
        log_end, log_other = torch.log1p(-u), torch.log1p(column * u)
        log_density = (at_end * log_end).addcmul_(at_other, log_other)
        return log_density, torch.where(is_near, log_other, log_end.neg_()).add_(deviation)

    side = Side(ratio, first, second, 0.0)
    return -2 * distance * integral_over_side(side, integrand, log_singular=True)


def _change_of_statistic(
    p: PowerSpherical, k: Tensor, one_minus_cosine: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """E_p[s_p] - E_p[s_q], and its derivatives by k and 1 - <mu_p, mu_q>, without gradients."""
    with torch.no_grad():
        own, crossed = p._log_partition(k), mean_log_half(k, one_minus_cosine, p._ambient)
        by_ours = own.curvature - crossed.by_concentration
        return own.slope - crossed.value, by_ours, -crossed.by_one_minus_cosine


def _slopes_of_rotation(
    p: PowerSpherical, k: Tensor, other: Tensor, one_minus_cosine: Tensor
) -> tuple[Tensor, ...]:
    """The derivatives of k_q (E_p[s_p] - E_p[s_q]) by k_p, k_q and 1 - <mu_p, mu_q>."""
    arguments = k, other, one_minus_cosine

    def slopes(*args: Tensor) -> Tensor:
        k, other, one_minus_cosine = args
        difference, by_ours, by_gap = _change_of_statistic(p, k, one_minus_cosine)
        return torch.stack([other * by_ours, difference, other * by_gap], dim=-1)

    return without_derivatives(slopes, *arguments).unbind(-1)


@register_kl(PowerSpherical, PowerSpherical)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_power_spherical_power_spherical(p: PowerSpherical, q: PowerSpherical) -> Tensor:
    """The KL for equal mean directions, plus k_q (E_p[s_p] - E_p[s_q]).

    Here s_p and s_q are the statistics around the two mean directions.
    """
    shape = common_batch_shape(p, q)
    ours, theirs = p.concentration.expand(shape), q.concentration.expand(shape)
    one_minus_cosine = ((p.loc.double() - q.loc.double()).square().sum(dim=-1) / 2).clamp_max(2)
    arguments = ours.double(), theirs.double(), one_minus_cosine.expand(shape)
    rotation = with_derivatives(
        lambda k, other, gap: other * _change_of_statistic(p, k, gap)[0],
        lambda k, other, gap: _slopes_of_rotation(p, k, other, gap),
        *arguments,
    )
    return (p._kl_to_aligned(ours, theirs) + rotation).to(torch.promote_types(p.dtype, q.dtype))
