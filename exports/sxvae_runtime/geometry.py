"""Great circles on unit spheres of R^p. Points have norm 1; angles are radians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Below this sine two points are the same or opposite, and no direction between them is defined.
_DEGENERATE = 1e-6

Points = NDArray[np.float64]


def unit(vectors: Points) -> Points:
    """Vectors scaled to norm 1, shape (..., p) to the same."""
    scaled: Points = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def angle_between(one: Points, other: Points) -> Points:
    """The angle from 0 to pi, shape (..., p) to (...), exact for near and for opposite points."""
    angle: Points = 2 * np.arctan2(
        np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1)
    )
    return angle


def tangent_towards(start: Points, end: Points) -> Points:
    """The unit tangent at `start`, shape (p,), of the great circle to `end`.

    Where the two are the same or opposite every direction will do: one along a coordinate axis is
    taken.
    """
    tangent = end - (start @ end) * start
    if np.linalg.norm(tangent) < _DEGENERATE:
        axis = np.zeros_like(start)
        axis[np.argmin(np.abs(start))] = 1
        tangent = axis - (start @ axis) * start
    return unit(tangent)


def along_circle(start: Points, tangent: Points, angles: Points) -> Points:
    """The points at `angles`, shape (n,), from `start` along a great circle, shape (n, p)."""
    points: Points = np.cos(angles)[:, None] * start + np.sin(angles)[:, None] * tangent
    return points


def great_circle(start: Points, end: Points, steps: int, long_way: bool = False) -> Points:
    """Points at equal angles from one point to another, both included.

    Args:
        start: shape (p,).
        end: shape (p,).
        steps: how many, at least 2.
        long_way: take the other, longer arc of the same circle.

    Returns:
        Shape (steps, p). Between opposite points, and from a point the long way to itself, every
        great circle will do: one along a coordinate axis is taken.
    """
    angle = float(angle_between(start, end)) - (2 * np.pi if long_way else 0)
    path = along_circle(start, tangent_towards(start, end), np.linspace(0, angle, steps))
    path[0], path[-1] = start, end
    return path


def full_circle(start: Points, towards: Points, steps: int) -> Points:
    """Points at equal angles all round the great circle through two points.

    Args:
        start: shape (p,).
        towards: shape (p,), the point that the circle leads to first.
        steps: how many points; the one after the last would be the first again.

    Returns:
        Shape (steps, p). If the two are equal or opposite every great circle will do: one along a
        coordinate axis is taken.
    """
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return along_circle(start, tangent_towards(start, towards), angles)
