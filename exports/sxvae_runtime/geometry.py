"""Great circles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Below this sine two points are the same or opposite, and no direction between them is defined.
_DEGENERATE = 1e-6

Floats = NDArray[np.float64]


def unit(vector: Floats) -> Floats:
    """The vector divided by its norm."""
    divided: Floats = vector / np.linalg.norm(vector)
    return divided


def great_circle(start: Floats, end: Floats, steps: int, long_way: bool) -> Floats:
    """Points at equal angles from one point of the unit sphere to another.

    Args:
        start: a unit vector, shape (p,).
        end: a unit vector, shape (p,).
        steps: how many points, both ends included.
        long_way: take the other, longer arc of the same circle.

    Returns:
        Unit vectors, shape (steps, p). Between opposite points, and from a point the long way to
        itself, every great circle will do: one along a coordinate axis is taken.
    """
    angle = 2 * np.arctan2(np.linalg.norm(start - end), np.linalg.norm(start + end))
    if long_way:
        angle -= 2 * np.pi
    path = _turned(start, _tangent(start, end), np.linspace(0, angle, steps))
    path[0], path[-1] = start, end
    return path


def full_circle(start: Floats, towards: Floats, steps: int) -> Floats:
    """Points at equal angles all round the great circle through two points of the unit sphere.

    Args:
        start: a unit vector, shape (p,).
        towards: a unit vector, shape (p,), where the way from `start` sets out to.
        steps: how many points; the one after the last would be the first again.

    Returns:
        Unit vectors, shape (steps, p). If the two are equal or opposite every great circle will do:
        one along a coordinate axis is taken.
    """
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return _turned(start, _tangent(start, towards), angles)


def _tangent(start: Floats, end: Floats) -> Floats:
    """The unit tangent at `start` that points to `end`."""
    tangent = end - (start @ end) * start
    if np.linalg.norm(tangent) < _DEGENERATE:
        axis = np.zeros_like(start)
        axis[np.argmin(np.abs(start))] = 1
        tangent = axis - (start @ axis) * start
    return unit(tangent)


def _turned(start: Floats, tangent: Floats, angles: Floats) -> Floats:
    path: Floats = np.cos(angles)[:, None] * start + np.sin(angles)[:, None] * tangent
    return path
