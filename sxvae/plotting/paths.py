"""Ways through the latent space that change some factors and hold the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from sxvae.plotting.autoencoder import Floats
from sxvae_runtime.factors import Factor
from sxvae_runtime.geometry import along_circle, great_circle, tangent_towards, unit


def interpolation_path(
    factors: Sequence[Factor],
    start: Floats,
    end: Floats,
    steps: int,
    *,
    moving: Collection[int],
    long_way: bool = False,
) -> Floats:
    """Walk from one latent vector towards another in some of the factors.

    Args:
        factors: those of the latent vector.
        start: shape (ambient,).
        end: shape (ambient,).
        steps: how many points, both ends included.
        moving: the places of the factors that change: along great circles on spheres, along
            straight lines elsewhere. The others stay at `start`, to the bit.
        long_way: take the longer arc on every sphere; a straight line has no other way.

    Returns:
        Shape (steps, ambient).
    """
    path = np.repeat(start[None], steps, axis=0)
    for place in moving:
        part = factors[place].slice
        one, other = start[part].astype(np.float64), end[part].astype(np.float64)
        if factors[place].is_sphere:
            path[:, part] = great_circle(unit(one), unit(other), steps, long_way)
        else:
            path[:, part] = np.linspace(one, other, steps)
        path[0, part], path[-1, part] = start[part], end[part]
    return path


def turn_path(factor: Factor, z: Floats, angles: Floats, towards: Floats) -> Floats:
    """Turn one sphere's code, the others held to the bit.

    Args:
        factor: a sphere.
        z: the latent vector, shape (ambient,).
        angles: radians, shape (steps,): from (1, 0) on a circle, from the code itself on larger
            spheres.
        towards: a latent vector through which the great circle goes on larger spheres.

    Returns:
        Shape (steps, ambient).
    """
    if factor.dim == 1:
        start, tangent = np.eye(2)
    else:
        start = unit(z[factor.slice].astype(np.float64))
        tangent = tangent_towards(start, unit(towards[factor.slice].astype(np.float64)))
    path = np.repeat(z[None], len(angles), axis=0)
    path[:, factor.slice] = along_circle(start, tangent, angles.astype(np.float64))
    return path


def swapped(factor: Factor, z: Floats, draws: Floats) -> Floats:
    """The latent vector with one factor's code replaced by that of each draw.

    Args:
        factor: the factor that is replaced.
        z: shape (ambient,).
        draws: shape (n, ambient).

    Returns:
        Shape (n, ambient).
    """
    codes = np.repeat(z[None], len(draws), axis=0)
    codes[:, factor.slice] = draws[:, factor.slice]
    return codes
