"""Great circles, means and maps of hyperspheres, in closed form where there is one.

Points are unit vectors of R^p, the last axis; angles are radians.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

# Below this sine two points are the same or opposite, and no direction between them is defined.
_DEGENERATE = 1e-6
_MEAN_TOLERANCE = 1e-10
_MEAN_ROUNDS = 200


def unit(points: Points) -> Points:
    """Scaled to norm 1."""
    scaled: Points = points / np.linalg.norm(points, axis=-1, keepdims=True)
    return scaled


def angle_between(one: Points, other: Points) -> Points:
    """The angle from 0 to pi, exact for near and for opposite points."""
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
        Shape (steps, p).
    """
    angle = float(angle_between(start, end)) - (2 * np.pi if long_way else 0)
    path = along_circle(start, tangent_towards(start, end), np.linspace(0, angle, steps))
    path[0], path[-1] = start, end
    return path


def logarithm(base: Points, points: Points) -> Points:
    """The tangent vectors at `base`, shape (p,), that lead to `points`, shape (n, p)."""
    tangent = points - (points @ base)[:, None] * base
    norm = np.linalg.norm(tangent, axis=-1, keepdims=True)
    angle = angle_between(base, points)[:, None]
    vectors: Points = tangent * (angle / np.maximum(norm, np.finfo(float).tiny))
    return vectors


def frechet_mean(points: Points) -> Points:
    """The point with the least mean squared angle to `points`, shape (n, p) to (p,).

    Found by descent from the extrinsic mean; where the points balance out, from the leading
    eigenvector of their second moment.
    """
    extrinsic = points.mean(axis=0)
    if np.linalg.norm(extrinsic) < _DEGENERATE:
        extrinsic = np.linalg.eigh(points.T @ points)[1][:, -1]
    mean = unit(extrinsic)
    for _ in range(_MEAN_ROUNDS):
        step = logarithm(mean, points).mean(axis=0)
        length = float(np.linalg.norm(step))
        if length < _MEAN_TOLERANCE:
            break
        mean = unit(np.cos(length) * mean + np.sin(length) * step / length)
    return mean


class Principal(NamedTuple):
    """Points seen along their two leading directions.

    Attributes:
        coordinates: shape (n, 2).
        share: of the variance that the two directions hold, from 0 to 1.
    """

    coordinates: Points
    share: float


def principal(vectors: Points) -> Principal:
    """Principal component analysis of vectors (n, m), m >= 2.

    The signs are such that each direction's largest entry is positive.
    """
    centred = vectors - vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    leading = directions[:, :-3:-1]
    signs = np.sign(leading[np.argmax(np.abs(leading), axis=0), range(2)])
    total = float(variances.sum())
    share = float(variances[-2:].sum()) / total if total > 0 else 1.0
    return Principal(centred @ (leading * signs), share)


def principal_geodesics(points: Points) -> Principal:
    """Principal geodesic directions: the analysis in the tangent space at the Fréchet mean.

    Coordinates are radians from the mean, which is their origin; the share is of the squared angles
    to it (Fletcher, Lu, Pizer, Joshi, *Principal geodesic analysis for the study of nonlinear
    statistics of shape*, IEEE TMI 2004, in its first-order form).
    """
    return principal(logarithm(frechet_mean(points), points))


def hammer(points: Points) -> Points:
    """The equal-area map of S^2 into an ellipse with half axes 2 sqrt(2) and sqrt(2).

    Args:
        points: shape (..., 3); the third coordinate points north, the first to the middle.

    Returns:
        Shape (..., 2).
    """
    x, y, z = np.moveaxis(points, -1, 0)
    half = np.arctan2(y, x) / 2
    cosine = np.sqrt(np.maximum(0, 1 - z**2))
    divisor = np.sqrt(1 + cosine * np.cos(half))
    horizontal = 2 * np.sqrt(2) * cosine * np.sin(half) / divisor
    flat: Points = np.stack([horizontal, np.sqrt(2) * z / divisor], axis=-1)
    return flat
