"""Fréchet means, principal directions and a map projection of points on hyperspheres.

Points are unit vectors of R^p, the last axis; angles are radians.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sxvae_runtime.geometry import Points, angle_between, unit

# Below this norm a mean of points has no direction.
_DEGENERATE = 1e-6
_MEAN_TOLERANCE = 1e-10
_MEAN_ROUNDS = 200


def logarithm(base: Points, points: Points) -> Points:
    """The tangent vectors at `base`, shape (p,), that lead to `points`, shape (n, p)."""
    tangent = points - (points @ base)[:, None] * base
    norm = np.linalg.norm(tangent, axis=-1, keepdims=True)
    angle = angle_between(base, points)[:, None]
    vectors: Points = tangent * (angle / np.maximum(norm, np.finfo(float).tiny))
    return vectors


def frechet_mean(points: Points) -> Points:
    """The point with the least mean squared angle to `points`, shape (n, p) to (p,).

    Gradient descent starts at the normalised arithmetic mean. Where that has no direction, because
    the points balance out, it starts at the leading eigenvector of their second moment.
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
    """Points in the coordinates of their two leading directions.

    Attributes:
        coordinates: shape (n, 2).
        share: the share of the variance that the two directions hold, from 0 to 1.
    """

    coordinates: Points
    share: float


def principal(vectors: Points) -> Principal:
    """Principal component analysis of vectors (n, m), m >= 2.

    Signs are chosen so that each direction's largest entry is positive.
    """
    centred = vectors - vectors.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    leading = directions[:, :-3:-1]
    signs = np.sign(leading[np.argmax(np.abs(leading), axis=0), range(2)])
    total = float(variances.sum())
    share = float(variances[-2:].sum()) / total if total > 0 else 1.0
    return Principal(centred @ (leading * signs), share)


def principal_geodesics(points: Points) -> Principal:
    """Principal geodesic analysis: principal components in the tangent space at the Fréchet mean.

    Coordinates are radians, with the mean as origin, and the variance is that of the angle to the
    mean (Fletcher, Lu, Pizer, Joshi, *Principal geodesic analysis for the study of nonlinear
    statistics of shape*, IEEE TMI 2004, in its first-order form).
    """
    return principal(logarithm(frechet_mean(points), points))


def hammer(points: Points) -> Points:
    """The Hammer projection, an equal-area map of S^2 to an ellipse.

    Args:
        points: shape (..., 3); the third coordinate points north, the first to the map's middle.

    Returns:
        Shape (..., 2), in an ellipse with half axes 2 sqrt(2) and sqrt(2).
    """
    x, y, z = np.moveaxis(points, -1, 0)
    half = np.arctan2(y, x) / 2
    cosine = np.sqrt(np.maximum(0, 1 - z**2))
    divisor = np.sqrt(1 + cosine * np.cos(half))
    horizontal = 2 * np.sqrt(2) * cosine * np.sin(half) / divisor
    flat: Points = np.stack([horizontal, np.sqrt(2) * z / divisor], axis=-1)
    return flat
