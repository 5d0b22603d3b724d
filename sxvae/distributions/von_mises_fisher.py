"""The von Mises-Fisher distribution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import register_kl

from sxvae.distributions.constants import cached_constant
from sxvae.distributions.divergences import common_batch_shape
from sxvae.distributions.exponential_family import ExponentialFamily, LogPartition
from sxvae.distributions.fitting import checked_points
from sxvae.distributions.precision import in_full_precision
from sxvae.distributions.sampling import compiled
from sxvae.distributions.sampling.cosines import Cosines
from sxvae.distributions.sampling.wood import draw_cosines, one_minus_cosine_derivative
from sxvae.distributions.special.bessel import bessel_terms
from sxvae.kernels.constants import VON_MISES_FISHER

# Below this norm a mean of unit vectors has no direction.
_VANISHING = 1e-12
_NEWTON_STEPS = 12
# The KL's series is used up to k^2 = 4 p, where this many terms leave an error of 1e-20.
_SERIES_TERMS = 40


class VonMisesFisher(ExponentialFamily):
    """The von Mises-Fisher distribution on the unit sphere of R^p, p >= 2.

    Its density is C_p(k) exp(k <loc, x>) with
    log C_p(k) = (p/2 - 1) log k - (p/2) log 2 pi - log I_{p/2-1}(k) [1]; k = 0 is the uniform
    distribution. Samples have exact pathwise gradients with respect to both parameters [5].

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
        >>> from sxvae.distributions import HypersphericalUniform, VonMisesFisher
        >>> concentration = torch.tensor([0.0, 10.0], requires_grad=True)
        >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), concentration)  # two on S^2
        >>> q.rsample((5,)).shape
        torch.Size([5, 2, 3])
        >>> q.mean.detach()
        tensor([[0.0000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.9000]])
        >>> kl_divergence(q, HypersphericalUniform(2)).detach()
        tensor([0.0000, 1.9957])
    """

    _kernel = VON_MISES_FISHER

    @property
    def _order(self) -> float:
        return self._ambient / 2 - 1

    def _statistic(self, value: Tensor) -> Tensor:
        """<loc, x> - 1."""
        return -(value.double() - self.loc.double()).square().sum(dim=-1) / 2

    def _log_partition(self, concentration: Tensor) -> LogPartition:
        terms = bessel_terms(self._order, concentration)
        return LogPartition(terms.log_decay, -terms.complement, terms.derivative)

    def _curvature(self, concentration: Tensor) -> Tensor:
        return bessel_terms(self._order, concentration).derivative

    def _near_uniform(self, concentration: Tensor) -> Tensor:
        """Up to k = 2 sqrt(p): the poles of L'' are zeros of I_{p/2-1} on the imaginary axis."""
        return concentration**2 <= 4 * self._ambient

    def _kl_near_uniform(self, concentration: Tensor) -> Tensor:
        return _kl_series(concentration, self._ambient)

    def _draw_cosines(self, concentration: Tensor) -> Cosines:
        return draw_cosines(concentration, self._ambient)

    def _draw_cosines_of_rows(self, concentration: Tensor, count: int) -> Cosines:
        cosines = compiled.draw_cosines(concentration, count, self._ambient, self._kernel)
        # There are none if a concentration is invalid: this function then names it in its error.
        return cosines or draw_cosines(concentration, self._ambient)

    def _cosine_derivative(
        self, cosines: Cosines, concentration: Tensor, mean_minus_s: Tensor, dtype: torch.dtype
    ) -> Tensor:
        return one_minus_cosine_derivative(
            cosines, concentration, mean_minus_s, self._ambient, dtype
        )

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """A, A' and A/k."""
        terms = bessel_terms(self._order, self.concentration)
        return terms.ratio, terms.derivative, terms.ratio_over_x

    @classmethod
    def fit(cls, x: Tensor) -> VonMisesFisher:
        """The maximum-likelihood distribution for unit vectors.

        The mean direction is that of the mean, and the concentration solves A_p(k) = R, the mean's
        norm, by Newton's method from Banerjee's approximation k = R (p - R^2) / (1 - R^2). Where
        the mean vanishes the fit is uniform: concentration 0, and the first axis as `loc`.

        Args:
            x: unit vectors, shape (n, *batch_shape, p), n >= 2. No gradients.

        Raises:
            ValueError: if the shape is another, a norm is not 1, or all vectors of a set coincide:
                then the likelihood has no maximum.
        """
        _, mean, spread = checked_points(x)
        ambient, order = x.shape[-1], x.shape[-1] / 2 - 1
        length = torch.linalg.vector_norm(mean, dim=-1)
        first_axis = torch.zeros_like(mean)
        first_axis[..., 0] = 1
        uniform = (length < _VANISHING).unsqueeze(-1)
        loc = torch.where(uniform, first_axis, mean / length.clamp_min(_VANISHING).unsqueeze(-1))
        concentration = length * (ambient - length**2) / spread
        for _ in range(_NEWTON_STEPS):
            terms = bessel_terms(order, concentration)
            error = spread / (1 + length) - terms.complement  # A - R
            concentration = (concentration - error / terms.derivative).clamp_min(0)
        concentration = torch.where(uniform.squeeze(-1), 0.0, concentration)
        return cls(loc.to(x.dtype), concentration.to(x.dtype))


@cached_constant
def _series_coefficients(ambient: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coefficients of F(y) - 1 and of 2 y F'(y), shape (terms, 2), and the exponents of y.

    Here F(y) = 0F1(; b; b y) and b = p/2.
    """
    b, coefficient, rows = ambient / 2, 1.0, []
    for j in range(1, _SERIES_TERMS + 1):
        coefficient *= b / (j * (b + j - 1))
        rows.append((coefficient, 2 * j * coefficient))
    exponents = torch.arange(1, _SERIES_TERMS + 1, dtype=torch.float64, device=device)
    return torch.tensor(rows, dtype=torch.float64, device=device), exponents


def _kl_series(concentration: Tensor, ambient: int) -> Tensor:
    """KL(vMF, uniform) = k A - log F for k^2 <= 4 p, where the closed form cancels.

    F = Gamma(p/2) (2/k)^(p/2-1) I_{p/2-1}(k) = 0F1(; p/2; k^2 / 4), a series of positive terms, and
    k A = k F' / F.
    """
    coefficients, exponents = _series_coefficients(ambient, concentration.device)
    y = (concentration**2 / (2 * ambient)).clamp_max(2.0)
    excess, slope = ((y.unsqueeze(-1) ** exponents) @ coefficients).unbind(-1)
    return slope / (1 + excess) - torch.log1p(excess)


@register_kl(VonMisesFisher, VonMisesFisher)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_von_mises_fisher_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """Log C(k_p) - log C(k_q) + A(k_p) (k_p - k_q <mu_p, mu_q>), in parts that do not cancel."""
    shape = common_batch_shape(p, q)
    ours, theirs = p.concentration.expand(shape), q.concentration.expand(shape)
    distance = (p.loc.double() - q.loc.double()).square().sum(dim=-1)
    ratio = bessel_terms(p._order, ours).ratio
    divergence: Tensor = p._kl_to_aligned(ours, theirs) + theirs.double() * ratio * distance / 2
    return divergence.to(torch.promote_types(p.dtype, q.dtype))
