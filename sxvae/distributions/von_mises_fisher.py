"""The von Mises-Fisher distribution."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.distributions import register_kl

from sxvae.distributions.geometry import log_surface_area
from sxvae.distributions.known_derivatives import with_derivatives
from sxvae.distributions.quadrature import gauss_legendre
from sxvae.distributions.rotational import RotationallySymmetric, check_same_sphere
from sxvae.distributions.wood import sample_cosine_gap
from sxvae.special import bessel_terms

# Below this norm a mean of unit vectors has no direction.
_VANISHING = 1e-12
_NEWTON_STEPS = 12
# The series of the KL is used up to k^2 = 4 p, where this many terms leave 1e-20.
_SERIES_TERMS = 40
_KL_NODES = 16


class VonMisesFisher(RotationallySymmetric):
    """The von Mises-Fisher distribution on the unit sphere of R^p, p >= 2.

    Its density is C_p(k) exp(k <loc, x>) with
    log C_p(k) = (p/2 - 1) log k - (p/2) log 2 pi - log I_{p/2-1}(k) [1]; k = 0 is the uniform
    distribution. Samples have exact pathwise gradients with respect to both parameters [5].

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, shape (...), broadcast against `loc` without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.

    Example:
        >>> import torch
        >>> from sxvae.distributions import VonMisesFisher
        >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(10.0))
        >>> q.rsample((5,)).shape
        torch.Size([5, 3])
    """

    @property
    def _order(self) -> float:
        return self._ambient / 2 - 1

    def _sample_gap(self, concentration: Tensor) -> Tensor:
        return sample_cosine_gap(concentration, self._ambient)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """A, A' and A/k."""
        terms = bessel_terms(self._order, self.concentration)
        return terms.ratio, terms.derivative, terms.ratio_over_x

    def _kl_to_uniform_terms(self, concentration: Tensor) -> tuple[Tensor, Tensor]:
        """-k (1 - A) + (log C + k) + log |S^(p-1)|, by a series near 0; its derivative is k A'."""
        terms = bessel_terms(self._order, concentration)
        closed = -concentration * terms.complement - terms.log_decay
        near_uniform = concentration**2 <= 4 * self._ambient
        series = _kl_series(concentration, self._ambient)
        return torch.where(near_uniform, series, closed), concentration * terms.derivative

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the sphere's surface, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a vector's norm is not 1.
        """
        if self._validate_args:
            self._validate_sample(value)
        concentration = self.concentration.double()
        distance = (value.double() - self.loc.double()).square().sum(dim=-1)
        density = self._log_density_at_mode() - concentration * distance / 2
        return density.to(self.loc.dtype)

    @classmethod
    def fit(cls, x: Tensor) -> VonMisesFisher:
        """The maximum-likelihood distribution for unit vectors.

        The mean direction is that of the mean, and the concentration solves A_p(k) = R, the mean's
        norm, by Newton's method from Banerjee's approximation k = R (p - R^2) / (1 - R^2). Where
        the mean vanishes the fit is uniform: concentration 0, and the first axis as `loc`.

        Args:
            x: unit vectors, shape (n, *batch_shape, p), n >= 1. No gradients.

        Raises:
            ValueError: if all vectors of a set coincide: the likelihood has no maximum.
        """
        points = x.detach().double()
        ambient, order = points.shape[-1], points.shape[-1] / 2 - 1
        mean = points.mean(dim=0)
        length = torch.linalg.vector_norm(mean, dim=-1)
        spread = (points - mean).square().sum(dim=-1).mean(dim=0)  # 1 - R^2, without cancellation
        if bool((spread <= torch.finfo(x.dtype).eps ** 2).any()):
            raise ValueError("all vectors coincide, so the likelihood has no maximum")
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

    def _log_density_at_mode(self) -> Tensor:
        """Log C_p(k) + k in float64, shape batch_shape."""
        decay = bessel_terms(self._order, self.concentration).log_decay
        return -log_surface_area(self._ambient - 1) - decay


@functools.lru_cache(maxsize=64)
def _series_coefficients(ambient: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of F(y) - 1 and 2 y F'(y), F = 0F1(; b; b y), b = p/2; and the exponents of y."""
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
def _kl_von_mises_fisher_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """Log C(k_p) - log C(k_q) + A(k_p) (k_p - k_q <mu_p, mu_q>), without differences that cancel.

    It is the part that is left where the mean directions agree, and A(k_p) k_q (1 - <mu_p, mu_q>).
    """
    check_same_sphere(p, q)
    ours, theirs = torch.broadcast_tensors(p.concentration, q.concentration)
    ratio = bessel_terms(p._order, ours).ratio
    distance = (p.loc.double() - q.loc.double()).square().sum(dim=-1)
    apart: Tensor = theirs.double() * ratio * distance / 2
    return (_kl_of_aligned(p._order, ours, theirs) + apart).to(p.loc.dtype)


def _kl_of_aligned(order: float, ours: Tensor, theirs: Tensor) -> Tensor:
    """KL between two vMF of the same mean direction: the integral of (k_q - t) A'(t) over k_p..k_q.

    It is a difference of log C where the two are far apart, and otherwise this integral, which
    neither cancels nor, for its A' has no pole within 2.4 of the axis, needs many nodes.
    """
    with torch.no_grad():
        k, other = ours.double(), theirs.double()
        step = other - k
        mine, its = bessel_terms(order, k), bessel_terms(order, other)
        nodes, weights = gauss_legendre(_KL_NODES, k.device)
        slopes = bessel_terms(order, k.unsqueeze(-1) + step.unsqueeze(-1) * nodes).derivative
        largest = torch.maximum(k, other)
        near = (step.abs() <= largest / 2) | (largest**2 <= 8 * (order + 1))
        value = torch.where(
            near,
            step**2 * (slopes @ (weights * (1 - nodes))),
            its.log_decay - mine.log_decay + step * mine.complement,
        )
        slope = torch.where(near, step * (slopes @ weights), mine.complement - its.complement)
    return with_derivatives(value, (ours, -step * mine.derivative), (theirs, slope))
