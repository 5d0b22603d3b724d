"""Pictures of mean codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sxvae.errors import DataError
from sxvae.plotting import embedding
from tests.sxvae.plotting.conftest import texts

X = np.zeros((300, 1, 6, 8), np.float32)
LABELS = np.arange(300) % 10


def test_an_embedding_has_a_panel_for_every_factor(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("1,2,4,1,2,3", "vmf,vmf,power-spherical,normal,normal,normal")
    figure = embedding(autoencoder, X, LABELS)
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "factor 1: $S^{1}$ (vMF)"
    assert titles[2] == "factor 3: $S^{4}$ (power spherical)"
    assert titles[5] == "factor 6: $R^{3}$ (normal)"
    text = texts(figure)
    assert text.count("of the variance") == 2
    assert "270°" in text
    (legend,) = figure.legends
    assert [entry.get_text() for entry in legend.get_texts()] == [str(i) for i in range(10)]


def test_classes_are_shown_by_their_names(make_autoencoder: Any) -> None:
    """Also names that matplotlib would leave out, or read as mathematics, or that are long."""
    names = np.array(["_hidden", "a$b_\x1b$", "x" * 60])
    figure = embedding(make_autoencoder("2,1"), X, names[np.arange(300) % 3])
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 3
    drawn = texts(figure)
    for name in ("_hidden", "a$b_\ufffd$", "x" * 23 + "…"):
        assert name in drawn
    figure.draw_without_rendering()
    width = legend.get_window_extent().width
    assert width <= figure.bbox.width


def test_points_of_s2_lie_where_the_hammer_projection_puts_them(make_autoencoder: Any) -> None:
    from sxvae.plotting.geometry import hammer

    autoencoder = make_autoencoder("2")
    figure = embedding(autoencoder, X)
    (points,) = (np.asarray(c.get_offsets()) for c in figure.axes[0].collections)
    expected = hammer(autoencoder.encode(X)[0].astype(float))
    order = np.lexsort(points.T), np.lexsort(expected.T)
    np.testing.assert_allclose(points[order[0]], expected[order[1]], atol=1e-6)
    assert not figure.legends  # no labels, no legend


def test_labels_that_do_not_fit_are_refused(make_autoencoder: Any) -> None:
    with pytest.raises(DataError, match=r"the labels have the shape \(5,\); \(300,\) is needed"):
        embedding(make_autoencoder("2"), X, LABELS[:5])
