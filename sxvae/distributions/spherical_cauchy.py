"""The spherical Cauchy distribution."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.distributions import register_kl
from torch.nn.functional import normalize

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.divergences import common_batch_shape
from sxvae.distributions.fitting import checked_points
from sxvae.distributions.geometry import Shape, log_surface_area
from sxvae.distributions.partition_table import PartitionMoments, PartitionTable
from sxvae.distributions.precision import in_full_precision
from sxvae.distributions.rotational import RotationallySymmetric
from sxvae.distributions.sampling.moebius import dilate
from sxvae.distributions.special.uniform_cosines import uniform_cosines
from sxvae.distributions.spherical_cauchy_fit import best_parameters
from sxvae.distributions.transforms import can_read


class SphericalCauchy(RotationallySymmetric):
    """The spherical Cauchy distribution on the unit sphere of R^p, p >= 2 [7].

    With m = p - 1, c = k / m and t = <loc, x>, its density with respect to the uniform distribution
    is (sqrt(1 + 2 c) / (1 + c (1 - t)))^m; k = 0 is the uniform distribution. In the literature's
    form it is ((1 - r^2) / (1 + r^2 - 2 r t))^m with k = 2 m r / (1 - r)^2. At the mode the slope
    of the log-density by t is k, as for the other families; its tails are heavier.

    A sample is the image of a uniform direction under a Moebius map of the sphere. All of it is
    made of PyTorch's elementary operations: it can be differentiated as often as one likes, and
    `torch.func` and `torch.compile` see through it.

    Args:
        loc: mean direction, unit vectors, shape (..., p).
        concentration: k >= 0, finite, a number or a tensor of shape (...), broadcast against `loc`
            without its last axis.
        validate_args: check the parameters and, in `log_prob`, the support;
            torch.distributions' default if None.

    Everything but the normal numbers that samples are made of is computed in float64; results have
    the parameters' type.

    Raises:
        ValueError: if p is below 2, or a parameter is invalid and `validate_args` is on.

    Example:
        >>> import torch
        >>> from torch.distributions import kl_divergence
        >>> from sxvae.distributions import HypersphericalUniform, SphericalCauchy
        >>> concentration = torch.tensor([0.0, 10.0], requires_grad=True)
        >>> q = SphericalCauchy(torch.tensor([0.0, 0.0, 1.0]), concentration)  # two on S^2
        >>> q.rsample((5,)).shape
        torch.Size([5, 2, 3])
        >>> kl_divergence(q, HypersphericalUniform(2)).detach()
        tensor([0.0000, 0.8775])
    """

    @property
    def _dim(self) -> int:
        return self._ambient - 1

    @property
    def _scaled(self) -> Tensor:
        """C = k / m, float64, shape batch_shape."""
        return self.concentration.double() / self._dim

    @in_full_precision
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, p), norm 1.

        Raises:
            NumericalError: if a concentration is negative or not finite.
        """
        if can_read(self.concentration):
            check_concentrations(self.concentration, "spherical Cauchy", self._ambient)
        shape = self._extended_shape(torch.Size(sample_shape))
        return self._moved(torch.randn(shape, dtype=self.dtype, device=self.loc.device))

    def _moved(self, noise: Tensor) -> Tensor:
        """The samples that standard normal numbers stand for, shape (..., *batch_shape, p)."""
        directions = normalize(noise.double(), dim=-1, eps=1e-300)
        loc = normalize(self.loc.double(), dim=-1)
        return dilate(directions, loc, self._scaled).to(self.dtype)

    def _log_density(self, value: Tensor) -> Tensor:
        scaled = self._scaled
        one_minus = (value.double() - self.loc.double()).square().sum(dim=-1) / 2
        at_mode = torch.log1p(2 * scaled) / 2
        ratio = self._dim * (at_mode - torch.log1p(scaled * one_minus))
        return ratio - log_surface_area(self._dim)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """From the cosines u and -u of uniform directions, which a sample's cosine t follows.

        1 - t = (1 - u) / (1 + c (1 + u)), and 1 - t^2 = (1 + 2 c) (1 - u^2) / (1 + c (1 + u))^2.
        """
        half = uniform_cosines(self._dim, self.loc.device)
        away = torch.cat([half.one_minus, half.one_plus])  # 1 - u for both signs of u
        towards = torch.cat([half.one_plus, half.one_minus])
        weight = half.weight.repeat(2) / 2
        scaled = self._scaled.unsqueeze(-1)
        divisor = 1 + scaled * towards
        one_minus = away / divisor
        spread = ((1 + 2 * scaled) * away * towards / divisor**2) @ weight
        deviation = one_minus - (one_minus @ weight).unsqueeze(-1)
        return self._mean_cosine(away, towards, weight), deviation**2 @ weight, spread / self._dim

    def _mean_cosine(self, away: Tensor, towards: Tensor, weight: Tensor) -> Tensor:
        """E[t], as E[t - u] for small c and as 1 - E[1 - t] for large c, where each keeps digits.

        t - u = c (1 - u^2) / (1 + c (1 + u)), and E[u] = 0.
        """
        scaled = self._scaled.unsqueeze(-1)
        # Each beyond the c at which the other takes over, because a clamp's gradient at its own
        # bound is 0.
        small, large = scaled.clamp_max(2), scaled.clamp_min(0.5)
        moved = (small * away * towards / (1 + small * towards)) @ weight
        left = (away / (1 + large * towards)) @ weight
        return torch.where(self._scaled < 1, moved, 1 - left)

    def _kl_to_uniform(self) -> Tensor:
        scaled = self._scaled
        return _kl(scaled * (scaled / (1 + 2 * scaled)), self._dim)

    def _kl_from_uniform(self) -> Tensor:
        """The same: the KL between two of the family is symmetric."""
        return self._kl_to_uniform()

    @classmethod
    def fit(cls, x: Tensor) -> SphericalCauchy:
        """The maximum-likelihood distribution for unit vectors.

        Unlike the other families' it is found in one search for both parameters: minus the
        log-likelihood is a convex function on hyperbolic space, whose points are the parameters.
        A vector far from the others hardly moves it. For vectors whose mean is 0 it is uniform:
        concentration 0, and the first axis as `loc`.

        Args:
            x: unit vectors, shape (n, *batch_shape, p), n >= 3. No gradients.

        Raises:
            ValueError: if the shape is another, a norm is not 1, or half or more of a set's vectors
                coincide: then the likelihood has no single maximum.
        """
        points = checked_points(x).values
        batch_shape, ambient = x.shape[1:-1], x.shape[-1]
        sets = normalize(points, dim=-1).reshape(len(x), batch_shape.numel(), ambient)
        fitted = [best_parameters(each) for each in sets.unbind(dim=1)]
        loc = sets.new_empty((len(fitted), ambient))
        concentration = sets.new_empty(len(fitted))
        for i, parameters in enumerate(fitted):
            loc[i], concentration[i] = parameters
        shape = (*batch_shape, ambient)
        return cls(loc.view(shape).to(x), concentration.view(batch_shape).to(x))


def _kl(sinh_square: Tensor, dim: int) -> Tensor:
    """The KL between two distributions at the hyperbolic distance b, from sinh(b)^2.

    The parameters r loc are points of the ball of radius 1, the Poincare model of hyperbolic space.
    Moebius maps move both distributions and points, so that the KL depends on the points' distance
    b alone. One of the points may be the ball's centre, the uniform distribution; then with the
    cosine u = tanh(y) of a uniform direction the KL is m E[log cosh(y + b) - log cosh(y)], and its
    mean over both signs of y is this.
    """
    one_minus, one_plus, weight = uniform_cosines(dim, sinh_square.device)
    return dim / 2 * (torch.log1p(sinh_square.unsqueeze(-1) * (one_minus * one_plus)) @ weight)


@functools.cache
def kl_table(ambient: int) -> PartitionTable:
    """The KL to the uniform distribution on the unit sphere of R^p, for compiled functions.

    The slope of the KL by k, over k, stands in the place of `PartitionMoments.variance`, which is
    just that for exponential families, and follows the same law for large k.
    """
    with torch.inference_mode(False), torch.no_grad():
        return PartitionTable(lambda k: _kl_and_slope_over_k(k, ambient - 1))


def _kl_and_slope_over_k(concentration: Tensor, dim: int) -> PartitionMoments:
    scaled = concentration / dim
    stretch = 1 + 2 * scaled
    sinh_square = scaled * (scaled / stretch)
    one_minus, one_plus, weight = uniform_cosines(dim, concentration.device)
    product = one_minus * one_plus
    mean = (product / (1 + sinh_square.unsqueeze(-1) * product)) @ weight
    slope_over_k = (1 + scaled) / stretch / stretch * mean / dim
    return PartitionMoments(_kl(sinh_square, dim), torch.zeros_like(mean), slope_over_k)


@register_kl(SphericalCauchy, SphericalCauchy)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_spherical_cauchy_spherical_cauchy(p: SphericalCauchy, q: SphericalCauchy) -> Tensor:
    """`_kl` at the distance b of the two points.

    With s = sqrt(1 + 2 c), cosh(b) - 1 = 2 |psi_p - psi_q|^2 / ((1 - r_p^2) (1 - r_q^2)) is
    ((s_p - s_q)^2 + c_p c_q |loc_p - loc_q|^2) / (2 s_p s_q).
    """
    common_batch_shape(p, q)
    ours, theirs = p._scaled, q._scaled
    stretch, other = torch.sqrt(1 + 2 * ours), torch.sqrt(1 + 2 * theirs)
    step = 2 * (ours - theirs) / (stretch + other)
    distance = (p.loc.double() - q.loc.double()).square().sum(dim=-1)
    # Each quotient before the product, so that large concentrations do not overflow.
    along = (step / stretch) * (step / other)
    across = (ours / stretch) * (theirs / other) * distance
    cosh_minus_1 = (along + across) / 2
    return _kl(cosh_minus_1 * (cosh_minus_1 + 2), p._dim).to(torch.promote_types(p.dtype, q.dtype))
