"""Bessel functions, and densities, means, KLs and entropies of both families, in 50 digits."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import mpmath

Number = Any  # mpmath has no types
DIGITS = 50
# From this order on 40 terms of Debye's expansion leave less than 1e-60; mpmath's own series would
# take minutes at the largest orders.
DEBYE_ORDER = 400
_DEBYE_TERMS = 40
_MOST_HARMONICS = 20_000


@functools.cache
def _debye_polynomials() -> list[list[Number]]:
    """Coefficients of u_k(t), lowest first (DLMF 10.41.9)."""
    polynomials = [[mpmath.mpf(1)]]
    for _ in range(_DEBYE_TERMS):
        u = polynomials[-1]
        following = [mpmath.mpf(0)] * (len(u) + 3)
        for i, c in enumerate(u):
            if i:
                following[i + 1] += i * c / 2
                following[i + 3] -= i * c / 2
            following[i + 1] += c / (8 * (i + 1))
            following[i + 3] -= 5 * c / (8 * (i + 3))
        polynomials.append(following)
    return polynomials


def log_bessel_i_debye(order: Number, x: Number) -> Number:
    """Log I_v(x) by Debye's expansion (DLMF 10.41.3)."""
    order, x = mpmath.mpf(order), mpmath.mpf(x)
    root = mpmath.sqrt(1 + (x / order) ** 2)
    eta = root + mpmath.log(x / order / (1 + root))
    total = sum(
        mpmath.polyval(u[::-1], 1 / root) / order**k for k, u in enumerate(_debye_polynomials())
    )
    prefactor = mpmath.log(2 * mpmath.pi * order * root) / 2
    return order * eta - prefactor + mpmath.log(total)


def log_bessel_i(order: Number, x: Number) -> Number:
    if order >= DEBYE_ORDER:
        return log_bessel_i_debye(order, x)
    return mpmath.log(mpmath.besseli(order, mpmath.mpf(x)))


class Exact(NamedTuple):
    """Exact values of a distribution on the sphere of R^p, and their derivatives by k."""

    log_prob_at_mode: Number
    log_prob_at_mode_slope: Number
    mean: Number
    mean_slope: Number
    kl: Number
    kl_slope: Number
    entropy: Number
    entropy_slope: Number


def log_area(p: Number) -> Number:
    return mpmath.log(2) + p / 2 * mpmath.log(mpmath.pi) - mpmath.loggamma(p / 2)


def with_entropy(
    area: Number, at_mode: Number, kl: Number, slopes: tuple[Number, ...], mean: Number
) -> Exact:
    at_mode_slope, mean_slope, kl_slope = slopes
    return Exact(at_mode, at_mode_slope, mean, mean_slope, kl, kl_slope, area - kl, -kl_slope)


def von_mises_fisher(ambient: int, concentration: float) -> Exact:
    p, k = mpmath.mpf(ambient), mpmath.mpf(concentration)
    log_i = log_bessel_i(p / 2 - 1, k)
    log_c = (p / 2 - 1) * mpmath.log(k) - p / 2 * mpmath.log(2 * mpmath.pi) - log_i
    mean = mpmath.exp(log_bessel_i(p / 2, k) - log_i)
    mean_slope = 1 - mean**2 - (p - 1) * mean / k
    kl = k * mean + log_c + log_area(p)
    slopes = (1 - mean, mean_slope, k * mean_slope)
    return with_entropy(log_area(p), log_c + k, kl, slopes, mean)


def power_spherical(ambient: int, concentration: float) -> Exact:
    p, k = mpmath.mpf(ambient), mpmath.mpf(concentration)
    beta, alpha = (p - 1) / 2, (p - 1) / 2 + k
    log_c = -(
        (alpha + beta) * mpmath.log(2)
        + beta * mpmath.log(mpmath.pi)
        + mpmath.loggamma(alpha)
        - mpmath.loggamma(alpha + beta)
    )
    mean_log = mpmath.log(2) + mpmath.psi(0, alpha) - mpmath.psi(0, alpha + beta)
    kl = log_c + k * mean_log + log_area(p)
    kl_slope = k * (mpmath.psi(1, alpha) - mpmath.psi(1, alpha + beta))
    slopes = (
        mpmath.psi(0, alpha + beta) - mpmath.psi(0, alpha),
        2 * beta / (alpha + beta) ** 2,
        kl_slope,
    )
    at_mode = log_c + k * mpmath.log(2)
    return with_entropy(log_area(p), at_mode, kl, slopes, k / (alpha + beta))


def kl_between_von_mises_fisher(
    ambient: int, ours: float, theirs: float, one_minus_cosine: float
) -> Number:
    """Log C(k_p) - log C(k_q) + A(k_p) (k_p - k_q cosine)."""
    p, k, other = mpmath.mpf(ambient), mpmath.mpf(ours), mpmath.mpf(theirs)
    own, its = log_bessel_i(p / 2 - 1, k), log_bessel_i(p / 2 - 1, other)
    mean = mpmath.exp(log_bessel_i(p / 2, k) - own)
    constants = (p / 2 - 1) * mpmath.log(k / other) - own + its
    return constants + mean * (k - other * (1 - mpmath.mpf(one_minus_cosine)))


def kl_between_power_spherical(
    ambient: int, ours: float, theirs: float, one_minus_cosine: float
) -> Number:
    """The KL from an expansion in zonal harmonics G_l, G_l(1) = 1, of log((1 + y) / 2).

    Its coefficients are (-1)^(l-1) (2l+p-2) / (l (l+p-2)), and
    E_p[G_l] = k (k-1) ... (k-l+1) / ((k+p-1) ... (k+p+l-2)). It converges for k above 1, say.
    """
    p, k, cosine = mpmath.mpf(ambient), mpmath.mpf(ours), 1 - mpmath.mpf(one_minus_cosine)
    beta = (p - 1) / 2
    mean = mpmath.psi(0, beta) - mpmath.psi(0, 2 * beta)
    moment, before, harmonic, degree = mpmath.mpf(1), mpmath.mpf(1), cosine, 0
    while True:
        degree += 1
        moment *= (k - degree + 1) / (k + p + degree - 2)
        term = (-1) ** (degree - 1) * (2 * degree + p - 2) / (degree * (degree + p - 2)) * moment
        mean += term * harmonic
        if abs(term) < mpmath.mpf(10) ** -20:
            break
        if degree == _MOST_HARMONICS:
            raise ArithmeticError(f"the expansion did not converge at p = {ambient}, k = {ours}")
        following = ((2 * degree + p - 2) * cosine * harmonic - degree * before) / (degree + p - 2)
        before, harmonic = harmonic, following
    return _aligned_power_spherical(beta, k, mpmath.mpf(theirs)) - theirs * mean


def _aligned_power_spherical(beta: Number, k: Number, other: Number) -> Number:
    """L(q) - L(k) + k L'(k), L the log-partition."""

    def log_partition(k: Number) -> Number:
        ends = [mpmath.loggamma(n * beta + k) - mpmath.loggamma(n * beta) for n in (1, 2)]
        return ends[0] - ends[1]

    slope = mpmath.psi(0, beta + k) - mpmath.psi(0, 2 * beta + k)
    return log_partition(other) - log_partition(k) + k * slope


def kl_between_power_spherical_on_s2(ours: float, theirs: float, one_minus_cosine: float) -> Number:
    """The KL on S^2, where the mean over the angle around mu_p has a closed form."""
    k, c = mpmath.mpf(ours), 1 - mpmath.mpf(one_minus_cosine)

    def integrand(t: Number) -> Number:
        # The mean of log(a + b cos f) is log((a + sqrt(a^2 - b^2)) / 2), here with |t + c|.
        return (1 + t) ** k * mpmath.log((1 + t * c + abs(t + c)) / 4)

    total = 2 ** (k + 1) / (k + 1)
    mean = mpmath.quad(integrand, [-1, -c, 1]) / total
    return _aligned_power_spherical(mpmath.mpf(1), k, mpmath.mpf(theirs)) - theirs * mean
