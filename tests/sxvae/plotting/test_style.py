"""The style and the files of all figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sxvae.errors import ConfigError, OutputError
from sxvae.plotting import concentrations, embedding, save_figure, training
from sxvae.plotting.style import class_styles, figure_bytes
from tests.sxvae.plotting.conftest import history

X = np.zeros((300, 1, 6, 8), np.float32)
LABELS = np.arange(300) % 10


def test_classes_can_be_told_apart() -> None:
    for count in (2, 8, 10, 30):
        assert len(set(class_styles(count))) == count


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_picture_has_the_same_bytes(
    make_autoencoder: Any, tmp_path: Path, ending: str
) -> None:
    for name in "ab":
        save_figure(embedding(make_autoencoder("1,2"), X, LABELS), tmp_path / f"{name}.{ending}")
    content = (tmp_path / f"a.{ending}").read_bytes()
    assert content == (tmp_path / f"b.{ending}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])
    if ending == "png":
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)


def test_no_letter_is_smaller_than_8_points(make_autoencoder: Any) -> None:
    for figure in (
        embedding(make_autoencoder("1,2,4"), X, LABELS),
        concentrations(make_autoencoder("2"), X),
        training(history(3)),
    ):
        svg = figure_bytes(figure, "svg").decode()
        sizes = re.findall(r"font(?:-size)?: (?:[a-z]+ )*([\d.]+)px", svg)
        # Superscripts in mathematical notation have 0.7 of the size around them.
        assert sizes
        assert min(map(float, sizes)) >= 0.7 * 8


def test_a_figure_is_written_whole_or_not_at_all(make_autoencoder: Any, tmp_path: Path) -> None:
    figure = training(history(2))
    with pytest.raises(ConfigError, match=r"end it in \.png, \.svg or \.pdf"):
        save_figure(figure, tmp_path / "picture.gif")
    with pytest.raises(OutputError, match="can't be written"):
        save_figure(figure, tmp_path / "missing" / "picture.png")
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_matplotlibs_settings_alone() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figure_bytes(training(history(2)), "png")
    assert dict(mpl.rcParams) == before


def test_a_single_image_can_be_drawn(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("1,2,3,1,2,3", "vmf,vmf,vmf,normal,normal,normal")
    for figure in (concentrations(autoencoder, X[:1]), embedding(autoencoder, X[:1], LABELS[:1])):
        assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    for axes in concentrations(autoencoder, X[:1]).axes:
        assert sum(b.get_height() * b.get_width() for b in axes.patches) > 0  # type: ignore[attr-defined]
