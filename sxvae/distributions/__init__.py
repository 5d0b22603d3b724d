"""Distributions on hyperspheres, with torch.distributions' conventions.

They need nothing else of sxvae and work in any PyTorch project.
"""

from sxvae.distributions.hyperspherical_uniform import HypersphericalUniform
from sxvae.distributions.power_spherical import PowerSpherical
from sxvae.distributions.product import ProductDistribution
from sxvae.distributions.von_mises_fisher import VonMisesFisher

__all__ = ["HypersphericalUniform", "PowerSpherical", "ProductDistribution", "VonMisesFisher"]
