"""Special functions in PyTorch: Bessel functions, gamma differences, quadrature."""

from sxvae.distributions.special.bessel import (
    bessel_ratio,
    bessel_ratio_complement,
    log_bessel_i,
    log_bessel_ive,
)

__all__ = ["bessel_ratio", "bessel_ratio_complement", "log_bessel_i", "log_bessel_ive"]
