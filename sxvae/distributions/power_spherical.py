"""The power spherical distribution."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Gamma

from sxvae.distributions.gamma_differences import (
    digamma_difference,
    log_gamma_difference,
    trigamma_difference,
)
from sxvae.distributions.quadrature import IMPLICIT_NODES, LOG_NEGLIGIBLE, gauss_legendre
from sxvae.distributions.rotational import RotationallySymmetric
from sxvae.errors import NumericalError

_KL_NODES = 12


class PowerSpherical(RotationallySymmetric):
    """The power spherical distribution on the unit sphere of R^p, p >= 2 [3].

    Its density is proportional to (1 + <loc, x>)^k; k = 0 is the uniform distribution. With
    t = <loc, x>, (1 + t) / 2 has the distribution Beta((p-1)/2 + k, (p-1)/2). Samples have exact
    pathwise gradients with respect to both parameters [5].

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, shape (...), broadcast against `loc` without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.

    Example:
        >>> import torch
        >>> from sxvae.distributions import PowerSpherical
        >>> q = PowerSpherical(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(10.0))
        >>> q.rsample((5,)).shape
        torch.Size([5, 3])
    """

    def _shapes(self, concentration: Tensor) -> tuple[Tensor, float]:
        """The Beta distribution's parameters: (p-1)/2 + k, and (p-1)/2."""
        half = (self._ambient - 1) / 2
        return concentration + half, half

    def _sample_gap(self, concentration: Tensor) -> Tensor:
        gap: Tensor = _CosineGap.apply(concentration, self._ambient)
        return gap

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        concentration = self.concentration.double()
        alpha, beta = self._shapes(concentration)
        total = alpha + beta
        product = 4 * alpha * beta / (total * (total + 1))  # E[1 - t^2]
        return concentration / total, product / total, product / (2 * beta)

    def _kl_to_uniform_terms(self, concentration: Tensor) -> tuple[Tensor, Tensor]:
        """Log |S^(p-1)| minus the entropy [3]; its derivative is -k (psi'(total) - psi'(alpha)).

        Near 0, where that cancels, it is the integral of its derivative.
        """
        alpha, beta = self._shapes(concentration)
        nodes, weights = gauss_legendre(_KL_NODES, concentration.device)
        below = beta + concentration.clamp_max(beta).unsqueeze(-1) * nodes
        near = -(concentration**2) * (trigamma_difference(below, beta) @ (weights * nodes))
        at_zero = log_gamma_difference(torch.full_like(alpha, beta), beta)
        far = (
            log_gamma_difference(alpha, beta)
            - at_zero
            - concentration * digamma_difference(alpha, beta)
        )
        slope = -concentration * trigamma_difference(alpha, beta)
        return torch.where(concentration <= beta, near, far), slope

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the sphere's surface, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a vector's norm is not 1.
        """
        if self._validate_args:
            self._validate_sample(value)
        x, loc = value.double(), self.loc.double()
        # (1 + t) / 2 from the distance to loc, or from that to its opposite: whichever is short.
        near = -(x - loc).square().sum(dim=-1) / 4
        far = (x + loc).square().sum(dim=-1) / 4
        log_half = torch.where(near > -0.5, torch.log1p(near.clamp_min(-0.75)), torch.log(far))
        concentration = self.concentration.double()
        # At the opposite of loc the density is 0, or for k = 0 what it is everywhere.
        power = torch.where(concentration == 0, 0.0, concentration * log_half)
        return (self._log_density_at_mode(concentration) + power).to(self.loc.dtype)

    def _log_density_at_mode(self, concentration: Tensor) -> Tensor:
        alpha, beta = self._shapes(concentration)
        constant = (self._ambient - 1) * math.log(2) + beta * math.log(math.pi)
        return log_gamma_difference(alpha, beta) - constant


class _CosineGap(torch.autograd.Function):
    """1 - t, drawn as a ratio of Gamma variates and differentiated implicitly.

    PyTorch's own gradients of Gamma and Beta samples are approximate, so they are not used.
    """

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, ambient: int) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        wide = concentration.double()
        if not bool(((wide >= 0) & wide.isfinite()).all()):
            raise NumericalError(
                f"power spherical sampling in R^{ambient} needs concentrations finite and >= 0"
            )
        half = torch.full_like(wide, (ambient - 1) / 2)
        one = torch.ones_like(wide)
        towards, away = (
            Gamma(shape, one, validate_args=False).sample() for shape in (wide + half, half)
        )
        ctx.save_for_backward(torch.atan2(torch.sqrt(away), torch.sqrt(towards)), wide)
        ctx.ambient, ctx.dtype = ambient, concentration.dtype
        return 2 * away / (towards + away)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        half_angle, concentration = ctx.saved_tensors
        derivative = _gap_derivative(half_angle, concentration, ctx.ambient)
        return (grads[0] * derivative).to(ctx.dtype), None


def _gap_derivative(half_angle: Tensor, concentration: Tensor, ambient: int) -> Tensor:
    """d(1 - t)/dk at fixed probability [5], with 1 - t = 2 sin^2(a), a the half angle.

    The density of a is proportional to cos^(2k+p-2)(a) sin^(p-2)(a), log-concave with curvature of
    at least 2k + 2p - 4, and da/dk is minus the integral of (2 log cos - its mean) times the
    density below a, over the density at a. Of the two sides of the sample, which carry opposite
    integrals, it takes the one on which the integrand keeps its sign.
    """
    alpha, beta = concentration + (ambient - 1) / 2, (ambient - 1) / 2
    mean_log = -digamma_difference(alpha, beta)
    cosine_power, sine_power = 2 * concentration + ambient - 2, ambient - 2

    def log_density(log_cosine: Tensor, log_sine: Tensor, power: Tensor) -> Tensor:
        return power * log_cosine + sine_power * log_sine

    log_cosine, log_sine = torch.log(torch.cos(half_angle)), torch.log(torch.sin(half_angle))
    reach = torch.sqrt(2 * LOG_NEGLIGIBLE / (cosine_power + sine_power).clamp_min(1e-3))
    below = 2 * log_cosine >= mean_log
    width = torch.minimum(torch.where(below, half_angle, math.pi / 2 - half_angle), reach)

    nodes, weights = gauss_legendre(IMPLICIT_NODES, half_angle.device)
    signed = torch.where(below, -width, width)
    angles = half_angle.unsqueeze(-1) + signed.unsqueeze(-1) * nodes
    node_log_cosine, node_log_sine = torch.log(torch.cos(angles)), torch.log(torch.sin(angles))
    at_nodes = log_density(node_log_cosine, node_log_sine, cosine_power.unsqueeze(-1))
    at_sample = log_density(log_cosine, log_sine, cosine_power).unsqueeze(-1)
    deviation = (2 * node_log_cosine - mean_log.unsqueeze(-1)).abs()
    integral = width * ((deviation * torch.exp(at_nodes - at_sample)) @ weights)
    return -2 * torch.sin(2 * half_angle) * integral
