"""Paths of latent vectors along which some factors change and the others stay as they are."""

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
        moving: the indices, from 0, of the factors that change: along great circles on spheres,
            along straight lines elsewhere. The others keep the bits that they have in `start`.
        long_way: take the longer arc on every sphere; a straight line has no other way.

    Returns:
        Shape (steps, ambient).
    """
    path = np.repeat(start[None], steps, axis=0)
    for index in moving:
        part = factors[index].slice
        first, last = start[part].astype(np.float64), end[part].astype(np.float64)
        if factors[index].is_sphere:
            path[:, part] = great_circle(unit(first), unit(last), steps, long_way)
        else:
            path[:, part] = np.linspace(first, last, steps)
        path[0, part], path[-1, part] = start[part], end[part]
    return path


def turn_path(factor: Factor, z: Floats, angles: Floats, towards: Floats) -> Floats:
    """Turn the code on one sphere; the other factors keep their bits.

    Args:
        factor: a sphere.
        z: the latent vector, shape (ambient,).
        angles: radians, shape (steps,), measured from the point (1, 0) on a circle, and from the
            code itself on larger spheres.
        towards: on larger spheres the great circle goes through this latent vector's code.

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
    """Copies of a latent vector, in each of which one factor has the code of another draw.

    Args:
        factor: the factor whose code is replaced.
        z: shape (ambient,).
        draws: shape (n, ambient).

    Returns:
        Shape (n, ambient).
    """
    codes = np.repeat(z[None], len(draws), axis=0)
    codes[:, factor.slice] = draws[:, factor.slice]
    return codes
