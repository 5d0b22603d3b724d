from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sxvae.plotting.geometry import (
    frechet_mean,
    hammer,
    logarithm,
    principal,
    principal_geodesics,
)
from sxvae_runtime.geometry import angle_between, great_circle, tangent_towards, unit

Points = NDArray[np.float64]


def directions(n: int, p: int, seed: int = 0) -> Points:
    return unit(np.random.default_rng(seed).standard_normal((n, p)))


@pytest.mark.parametrize("p", [2, 3, 5, 41])
def test_a_great_circle_has_equal_steps_and_is_the_shorter_arc(p: int) -> None:
    start, end = directions(2, p)
    for long_way, whole in (
        (False, np.arccos(start @ end)),
        (True, 2 * np.pi - np.arccos(start @ end)),
    ):
        path = great_circle(start, end, 200, long_way)
        np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, rtol=1e-12)
        steps = angle_between(path[:-1], path[1:])
        np.testing.assert_allclose(steps, whole / 199, rtol=1e-9)
        assert (path[0] == start).all()
        assert (path[-1] == end).all()


def test_the_two_ways_together_are_the_whole_circle() -> None:
    start, end = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(great_circle(start, end, 3)[1], np.sqrt([0.5, 0.5]))
    np.testing.assert_allclose(great_circle(start, end, 3, True)[1], -np.sqrt([0.5, 0.5]))


def test_opposite_and_equal_points_have_a_way_too() -> None:
    point = directions(1, 4)[0]
    half = great_circle(point, -point, 3)
    np.testing.assert_allclose(half[1] @ point, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1)
    np.testing.assert_allclose(great_circle(point, point, 3), [point] * 3, atol=1e-12)
    np.testing.assert_allclose(great_circle(point, point, 3, True)[1], -point, atol=1e-12)
    assert abs(tangent_towards(point, point) @ point) < 1e-12


def test_the_logarithm_has_the_angle_as_its_length() -> None:
    base, *points = directions(20, 4)
    vectors = logarithm(base, np.array(points))
    np.testing.assert_allclose(vectors @ base, 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.arccos(points @ base))
    assert (logarithm(base, base[None]) == 0).all()


def test_the_mean_on_a_circle_is_the_mean_angle() -> None:
    angles = np.array([0.1, 0.4, 0.9, 1.3])
    mean = frechet_mean(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert np.arctan2(mean[1], mean[0]) == pytest.approx(angles.mean(), abs=1e-9)


def test_the_mean_is_where_the_logarithms_balance() -> None:
    points = unit(directions(300, 5) + np.array([0.8, 0, 0, 0, 0]))
    mean = frechet_mean(points)
    np.testing.assert_allclose(logarithm(mean, points).mean(axis=0), 0, atol=1e-9)


def test_balanced_points_have_a_mean_all_the_same() -> None:
    corners = np.concatenate([np.eye(3), -np.eye(3)])
    assert np.linalg.norm(frechet_mean(corners)) == pytest.approx(1)


def test_principal_directions_of_a_known_covariance() -> None:
    rng = np.random.default_rng(0)
    deviations = np.array([1.0, 3.0, 0.5, 2.0])
    vectors = rng.standard_normal((20_000, 4)) * deviations
    seen, share = principal(vectors)
    np.testing.assert_allclose(seen.std(axis=0), [3, 2], rtol=0.02)
    assert share == pytest.approx(13 / (deviations**2).sum(), rel=0.01)
    # Each direction's largest entry is positive, so the picture is not mirrored at random.
    assert np.corrcoef(seen[:, 0], vectors[:, 1])[0, 1] > 0.99
    assert np.corrcoef(seen[:, 1], vectors[:, 3])[0, 1] > 0.99


def test_equal_points_have_no_variance_to_share() -> None:
    seen, share = principal(np.ones((5, 3)))
    assert (seen == 0).all()
    assert share == 1


def test_points_of_a_great_circle_lie_on_one_geodesic_direction() -> None:
    start, end = directions(2, 6)
    arc = great_circle(start, end, 51)
    seen, share = principal_geodesics(arc)
    assert share == pytest.approx(1)
    np.testing.assert_allclose(seen[:, 1], 0, atol=1e-7)
    np.testing.assert_allclose(np.ptp(seen[:, 0]), np.arccos(start @ end), rtol=1e-9)


def test_hammer_at_known_points() -> None:
    points = np.array([[1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0]], dtype=float)
    quarter = 2 * np.sin(np.pi / 4) * np.sqrt(2) / np.sqrt(1 + np.cos(np.pi / 4))
    expected = [[0, 0], [0, np.sqrt(2)], [0, -np.sqrt(2)], [quarter, 0]]
    np.testing.assert_allclose(hammer(points), expected, atol=1e-12)
    edge = hammer(np.array([-1.0, 1e-9, 0]))
    np.testing.assert_allclose(edge, [2 * np.sqrt(2), 0], atol=1e-6)


def test_hammer_keeps_areas() -> None:
    """A uniform sample fills the ellipse evenly: half of it lies in the half-size ellipse."""
    flat = hammer(directions(40_000, 3))
    radius = (flat[:, 0] / (2 * np.sqrt(2))) ** 2 + (flat[:, 1] / np.sqrt(2)) ** 2
    assert radius.max() <= 1 + 1e-12
    for share in (0.1, 0.5, 0.9):
        assert (radius < share).mean() == pytest.approx(share, abs=0.01)
