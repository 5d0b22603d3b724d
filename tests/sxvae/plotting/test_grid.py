from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sxvae.errors import NumericalError, OutputError
from sxvae.plotting import image_grid, save_png


def test_images_stand_row_by_row() -> None:
    values = np.linspace(0, 1, 6).reshape(6, 1, 1, 1)
    images = np.broadcast_to(values, (6, 1, 32, 32))
    picture = np.asarray(image_grid(images, columns=3))
    assert picture.shape == (2 * 34 + 2, 3 * 34 + 2)
    centres = picture[18::34, 18::34]
    np.testing.assert_array_equal(centres, np.rint(values.reshape(2, 3) * 255))
    assert (picture[:2] == 255).all()


def test_small_images_are_enlarged_and_colour_is_kept() -> None:
    red = np.zeros((1, 3, 8, 8))
    red[:, 0] = 1
    picture = image_grid(red)
    assert picture.size == (36, 36)
    assert picture.getpixel((18, 18)) == (255, 0, 0)


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 2, 8, 8), (8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture needs images"):
        image_grid(np.zeros(shape))


def test_saved_whole(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    save_png(image_grid(np.zeros((4, 1, 8, 8))), path)
    with Image.open(path) as picture:
        assert picture.size == (70, 70)
    with pytest.raises(OutputError):
        save_png(image_grid(np.zeros((4, 1, 8, 8))), tmp_path / "missing" / "grid.png")


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(NumericalError, match="not finite"):
        image_grid(np.full((1, 1, 8, 8), np.nan))
