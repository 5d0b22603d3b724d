"""The families that a sphere's posterior may have, by the names that users write."""

from __future__ import annotations

from sxvae.distributions.power_spherical import PowerSpherical
from sxvae.distributions.rotational import RotationallySymmetric
from sxvae.distributions.spherical_cauchy import SphericalCauchy
from sxvae.distributions.von_mises_fisher import VonMisesFisher

SPHERICAL_DISTRIBUTIONS: dict[str, type[RotationallySymmetric]] = {
    "vmf": VonMisesFisher,
    "power-spherical": PowerSpherical,
    "spherical-cauchy": SphericalCauchy,
}
