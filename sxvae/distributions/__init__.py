"""Distributions on hyperspheres, with the conventions of torch.distributions.

They work in any PyTorch project: of sxvae they import kernels, errors and randomness only.
"""

from sxvae.distributions.hyperspherical_uniform import HypersphericalUniform
from sxvae.distributions.power_spherical import PowerSpherical
from sxvae.distributions.product import ProductDistribution
from sxvae.distributions.spherical_cauchy import SphericalCauchy
from sxvae.distributions.von_mises_fisher import VonMisesFisher

__all__ = [
    "HypersphericalUniform",
    "PowerSpherical",
    "ProductDistribution",
    "SphericalCauchy",
    "VonMisesFisher",
]
