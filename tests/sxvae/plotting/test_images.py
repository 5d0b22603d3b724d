from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from sxvae.errors import ConfigError, DataError, NumericalError
from sxvae.plotting import interpolation, reconstructions, samples, swap, turn


def labels(figure: Figure) -> list[str]:
    """The texts beside the rows and above the columns."""
    (axes,) = figure.axes
    return [text.get_text() for text in (*axes.get_yticklabels(), *axes.get_xticklabels())]


def canvas(figure: Figure) -> Any:
    (image,) = figure.axes[0].get_images()
    return np.asarray(image.get_array())


def other_factors(autoencoder: Any, index: int) -> list[int]:
    here = range(*autoencoder.factors[index].slice.indices(autoencoder.ambient))
    return [i for i in range(autoencoder.ambient) if i not in here]


@pytest.mark.parametrize(("n", "columns", "rows"), [(10, 4, 3), (9, None, 3), (1, None, 1)])
def test_samples(make_autoencoder: Any, n: int, columns: int | None, rows: int) -> None:
    autoencoder = make_autoencoder("2,1")
    figure = samples(autoencoder, n, columns=columns, seed=5)
    (z,) = autoencoder.decoded
    np.testing.assert_array_equal(z, autoencoder.sample_prior(n, seed=5))
    zoom = 6  # 6 x 8 images are enlarged until they can be seen
    assert canvas(figure).shape[0] == rows * (6 * zoom + 2) + 2
    assert canvas(figure).shape[1] == (columns or round(n**0.5)) * (8 * zoom + 2) + 2
    # What is shown where: the middle of each image has the grey of its draw.
    greys = np.rint((z[:, 0] + 1) / 2 * 255)
    first_row = canvas(figure)[20, 25 :: 8 * zoom + 2, 0]
    np.testing.assert_allclose(first_row[:3], greys[:3][: len(first_row)], atol=1)


def test_reconstructions_stand_below_their_originals(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("2,1", channels=3)
    x = np.random.default_rng(0).random((13, 3, 6, 8)).astype(np.float32)
    figure = reconstructions(autoencoder, x)
    assert labels(figure) == ["original", "reconstruction"] * 2
    np.testing.assert_array_equal(autoencoder.decoded[0], autoencoder.encode(x)[0])
    picture = canvas(figure)
    np.testing.assert_allclose(picture[3, 3], x[0, :, 0, 0] * 255, atol=1)
    below = (autoencoder.encode(x)[0][0, 0] + 1) / 2 * 255
    np.testing.assert_allclose(picture[3 + 38, 3], below, atol=1)
    assert (picture[-30, -30] == 255).all()  # the second line has three images only


@pytest.mark.parametrize("long_way", [False, True])
def test_interpolation_moves_one_factor_and_holds_the_others(
    make_autoencoder: Any, long_way: bool
) -> None:
    autoencoder = make_autoencoder("2,3,1", "vmf,normal,vmf")
    start, end = autoencoder.sample_prior(2, seed=0)
    figure = interpolation(autoencoder, start, end, steps=7, long_way=long_way)
    names = [name.split("\n")[0] for name in labels(figure)]
    assert names == ["factor 1", "factor 2", "factor 3", "all factors", "start", *[""] * 5, "end"]
    *single, together = autoencoder.decoded
    for index, path in enumerate(single):
        moving, held = autoencoder.factors[index].slice, other_factors(autoencoder, index)
        assert (path[:, held] == start[held]).all()
        assert (path[0] == start).all()
        assert (path[-1, moving] == end[moving]).all()
        np.testing.assert_array_equal(together[:, moving], path[:, moving])
    assert (together[0] == start).all()
    assert (together[-1] == end).all()
    np.testing.assert_allclose(single[1][3, 3:6], (start + end)[3:6] / 2, rtol=1e-5)
    middle, between = single[0][3, :3], (start + end)[:3] * (-1 if long_way else 1)
    np.testing.assert_allclose(middle, between / np.linalg.norm(between), atol=1e-5)
    for path in (single[0][:, :3], single[2][:, 6:]):
        np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1, rtol=1e-6)


def test_interpolation_of_one_factor_only(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("2,3")
    ends = autoencoder.sample_prior(2, seed=0)
    assert len(labels(interpolation(autoencoder, *ends, factors=[1]))) == 1 + 10
    assert len(autoencoder.decoded) == 1


def test_a_circle_is_turned_in_equal_angles_from_0(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("1,2,1")
    codes = autoencoder.sample_prior(3, seed=0)
    figure = turn(autoencoder, codes, steps=4)
    assert labels(figure)[-4:] == ["0°", "90°", "180°", "270°"]
    assert len(autoencoder.decoded) == 2 * 3  # two circles, three codes
    corners = [[1, 0], [0, 1], [-1, 0], [0, -1]]
    for i, path in enumerate(autoencoder.decoded):
        index = 0 if i < 3 else 2
        np.testing.assert_allclose(path[:, autoencoder.factors[index].slice], corners, atol=1e-7)
        held = other_factors(autoencoder, index)
        assert (path[:, held] == codes[i % 3][held]).all()


def test_a_larger_sphere_is_turned_along_a_great_circle(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("1,3")
    codes = autoencoder.sample_prior(1, seed=0)
    turn(autoencoder, codes, steps=6, factors=[1], seed=9)
    (path,) = (z[:, 2:].astype(float) for z in autoencoder.decoded)
    np.testing.assert_allclose(path[0], codes[0, 2:], atol=1e-6)
    np.testing.assert_allclose(path[3], -path[0], atol=1e-6)
    np.testing.assert_allclose((path * np.roll(path, 1, axis=0)).sum(axis=1), 0.5, atol=1e-6)
    through = autoencoder.sample_prior(1, seed=9)[0, 2:].astype(float)
    plane = np.linalg.qr(path[:2].T)[0]
    assert np.linalg.norm(plane.T @ through) == pytest.approx(1, abs=1e-6)


def test_swapping_replaces_one_factor_by_the_draws(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("2,1")
    codes, drawn = autoencoder.sample_prior(2, seed=0), autoencoder.sample_prior(5, seed=3)
    figure = swap(autoencoder, codes, draws=5, seed=3)
    assert labels(figure)[2:] == ["as it is", *(f"draw {i}" for i in range(1, 6))]
    for i, z in enumerate(autoencoder.decoded):
        index, code = i // 2, codes[i % 2]
        held, swapped = other_factors(autoencoder, index), autoencoder.factors[index].slice
        assert (z[0] == code).all()
        assert (z[:, held] == code[held]).all()
        assert (z[1:, swapped] == drawn[:, swapped]).all()


def test_what_cannot_be_drawn_is_refused(make_autoencoder: Any) -> None:
    flat, circle = make_autoencoder("2,3", "normal"), make_autoencoder("1,2")
    z = circle.sample_prior(2, seed=0)
    with pytest.raises(ConfigError, match="no sphere, and straight lines go one way only"):
        interpolation(flat, *flat.sample_prior(2, seed=0), long_way=True)
    with pytest.raises(ConfigError, match="no circle to turn around"):
        turn(flat, flat.sample_prior(1, seed=0))
    with pytest.raises(ConfigError, match="factor 2 is Euclidean"):
        turn(flat, flat.sample_prior(1, seed=0), factors=[1])
    with pytest.raises(ConfigError, match="no factor 3: there are 2 factors"):
        interpolation(circle, *z, factors=[2])
    with pytest.raises(ConfigError, match="steps: at least 2 is needed, not 1"):
        interpolation(circle, *z, steps=1)
    with pytest.raises(DataError, match=r"the code has the shape \(4,\); \(5,\) is needed"):
        interpolation(circle, z[0, :4], z[1])
    with pytest.raises(DataError, match=r"\(n, 5\) is needed"):
        swap(circle, z[0])
    with pytest.raises(DataError, match=r"\(n, 1, 6, 8\) is needed"):
        reconstructions(circle, np.zeros((0, 1, 6, 8), np.float32))
    with pytest.raises(DataError, match="images of 2 channels can't be shown"):
        samples(make_autoencoder("1,2", channels=2))


def test_a_diverged_encoder_is_an_error(
    make_autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    autoencoder = make_autoencoder("2")
    broken = np.full((1, 3), np.nan, np.float32)
    monkeypatch.setattr(autoencoder, "encode", lambda x: (broken, np.ones((1, 1)), None))
    with pytest.raises(NumericalError, match="diverged"):
        reconstructions(autoencoder, np.zeros((1, 1, 6, 8), np.float32))
