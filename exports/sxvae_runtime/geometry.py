"""Great circles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Below this sine two points are the same or opposite, and no direction between them is defined.
_DEGENERATE = 1e-6


def great_circle(
    start: NDArray[np.float64], end: NDArray[np.float64], steps: int, long_way: bool
) -> NDArray[np.float64]:
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
    tangent = end - (start @ end) * start
    if np.linalg.norm(tangent) < _DEGENERATE:
        axis = np.zeros_like(start)
        axis[np.argmin(np.abs(start))] = 1
        tangent = axis - (start @ axis) * start
    tangent = tangent / np.linalg.norm(tangent)
    if long_way:
        angle -= 2 * np.pi
    angles = np.linspace(0, angle, steps)[:, None]
    path: NDArray[np.float64] = np.cos(angles) * start + np.sin(angles) * tangent
    path[0], path[-1] = start, end
    return path
