from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import Bundle, InputError


def _norms(app: Bundle, z: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(z[..., f.slice], axis=-1) for f in app.factors], axis=-1)


def _others(app: Bundle, index: int) -> list[int]:
    """The coordinates of all factors but one."""
    return sorted(set(range(app.ambient)) - set(range(app.ambient)[app.factors[index].slice]))


def test_interpolation(app: Bundle) -> None:
    z0, z1 = app.sample_prior(2, seed=3)
    path = app.interpolate(z0, z1, steps=10)
    assert path.shape == (10, 13)
    np.testing.assert_allclose(path[[0, -1]], [z0, z1], atol=1e-6)
    np.testing.assert_allclose(_norms(app, path), 1, atol=1e-6)
    long = app.interpolate(z0, z1, steps=10, long_way=True)
    for factor in app.factors:
        angle = np.arccos(z0[factor.slice] @ z1[factor.slice])
        for walk, total in ((path, angle), (long, 2 * np.pi - angle)):
            steps = np.arccos(np.sum(walk[1:, factor.slice] * walk[:-1, factor.slice], axis=-1))
            np.testing.assert_allclose(steps, total / 9, atol=1e-3)
    assert app.decode(path).shape == (10, 1, 8, 8)
    with pytest.raises(InputError, match="steps must be a whole number of at least 2"):
        app.interpolate(z0, z1, steps=1)
    with pytest.raises(InputError, match=r"z1 has the shape \(2, 13\); \(13,\) is needed"):
        app.interpolate(z0, np.stack([z0, z1]))


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, 2])
def test_traversal_goes_once_round_a_sphere(app: Bundle, index: int, axis: int) -> None:
    (z,) = app.sample_prior(1, seed=4)
    path = app.traverse(z, index, axis=axis, steps=12)
    assert path.shape == (12, 13)
    assert path.dtype == np.float32
    others = _others(app, index)
    np.testing.assert_array_equal(path[:, others], np.tile(z[others], (12, 1)))
    moved = path[:, app.factors[index].slice].astype(np.float64)
    start = z[app.factors[index].slice].astype(np.float64)
    # Equal angles from where it was, all round: the k-th point is k/12 of the circle away.
    np.testing.assert_allclose(moved @ start, np.cos(2 * np.pi * np.arange(12) / 12), atol=1e-6)
    np.testing.assert_allclose(moved[:6], -moved[6:], atol=1e-6)
    np.testing.assert_allclose(
        np.sum(moved * np.roll(moved, 1, axis=0), axis=-1), np.cos(np.pi / 6)
    )
    # The circle lies in the plane of the point and the axis, and sets out towards the axis.
    assert np.linalg.matrix_rank(np.vstack([moved, np.eye(moved.shape[1])[axis]]), tol=1e-5) == 2
    assert moved[1, axis] > start[axis] * np.cos(np.pi / 6)
    assert app.decode(path).shape == (12, 1, 8, 8)


@pytest.mark.parametrize("sign", [1, -1])
def test_traversal_of_a_point_on_the_axis_takes_another_circle(app: Bundle, sign: int) -> None:
    (z,) = app.sample_prior(1, seed=5)
    z[5:8] = [0, sign, 0]
    path = app.traverse(z, 1, axis=1, steps=4)
    expected = [[0, sign, 0], [1, 0, 0], [0, -sign, 0], [-1, 0, 0]]
    np.testing.assert_allclose(path[:, 5:8], expected, atol=1e-6)


@pytest.mark.parametrize(("covariance", "index"), [("single", 1), ("diagonal", 1), ("full", 2)])
def test_traversal_moves_one_coordinate_of_a_euclidean_factor(
    fixtures: Path, covariance: str, index: int
) -> None:
    app = sxvae_runtime.load(fixtures / f"bundle_v1_{covariance}")
    (z,) = app.sample_prior(1, seed=6)
    path = app.traverse(z, index, axis=1, steps=7)
    expected = np.tile(z, (7, 1))
    expected[:, app.factors[index].offset + 1] = [-3, -2, -1, 0, 1, 2, 3]
    np.testing.assert_allclose(path, expected, atol=1e-6)
    assert app.decode(path).shape == (7, *app.input_shape)


def test_both_axes_lead_round_a_circle(fixtures: Path) -> None:
    """S^1 has one circle: its axes differ in direction only."""
    app = sxvae_runtime.load(fixtures / "bundle_v1")
    (z,) = app.sample_prior(1, seed=7)
    angles = [
        np.unwrap(np.arctan2(walk[:, 4], walk[:, 3]))
        for walk in (app.traverse(z, 1, axis=axis, steps=9) for axis in (0, 1))
    ]
    for found in angles:
        np.testing.assert_allclose(np.abs(np.diff(found)), 2 * np.pi / 9, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 3}, r"factor must be a whole number from 0 to 2, its index in app\.factors"),
        ({"factor": -1}, "factor must be a whole number from 0 to 2, .* not -1"),
        ({"factor": 1.0}, r"not 1\.0"),
        (
            {"factor": 1, "axis": 3},
            r"axis must be .* 0 to 2, its index in factor 1 \(S\^2\), not 3",
        ),
        ({"factor": 1, "steps": 1}, "steps must be a whole number of at least 2, not 1"),
    ],
)
def test_bad_traversals_are_refused(app: Bundle, arguments: dict[str, Any], message: str) -> None:
    (z,) = app.sample_prior(1, seed=0)
    with pytest.raises(InputError, match=message):
        app.traverse(z, **arguments)


def test_traversals_of_bad_latent_vectors_are_refused(app: Bundle) -> None:
    (z,) = app.sample_prior(1, seed=0)
    with pytest.raises(InputError, match=r"z has the shape \(1, 13\); \(13,\) is needed"):
        app.traverse(z[None], 0)
    with pytest.raises(InputError, match=r"z has norm 2 in factor 0 \(S\^4\)"):
        app.traverse(2 * z, 0)
