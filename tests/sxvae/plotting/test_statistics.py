"""Embeddings, concentrations and training curves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sxvae.errors import ConfigError, DataError, OutputError
from sxvae.plotting import concentrations, embedding, save_figure, training
from sxvae.plotting.style import class_styles, figure_bytes

X = np.zeros((300, 1, 6, 8), np.float32)
LABELS = np.arange(300) % 10


def texts(figure: Any) -> str:
    """All text of a figure's SVG, tags removed."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", figure_bytes(figure, "svg").decode()))


def test_an_embedding_has_a_panel_for_every_factor(make_coder: Any) -> None:
    autoencoder = make_coder("1,2,4,1,2,3", "vmf,vmf,power-spherical,normal,normal,normal")
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


def test_points_of_s2_lie_where_the_hammer_projection_puts_them(make_coder: Any) -> None:
    from sxvae.plotting.geometry import hammer

    autoencoder = make_coder("2")
    figure = embedding(autoencoder, X)
    (points,) = (np.asarray(c.get_offsets()) for c in figure.axes[0].collections)
    expected = hammer(autoencoder.encode(X)[0].astype(float))
    order = np.lexsort(points.T), np.lexsort(expected.T)
    np.testing.assert_allclose(points[order[0]], expected[order[1]], atol=1e-6)
    assert not figure.legends  # no labels, no legend


def test_labels_have_to_fit(make_coder: Any) -> None:
    with pytest.raises(DataError, match=r"the labels have the shape \(5,\); \(300,\) is needed"):
        embedding(make_coder("2"), X, LABELS[:5])


def test_classes_can_be_told_apart() -> None:
    for count in (2, 8, 10, 30):
        assert len(set(class_styles(count))) == count


def test_concentrations_are_counted_per_factor(make_coder: Any) -> None:
    autoencoder = make_coder("2,3,1", "vmf,normal,vmf")
    figure = concentrations(autoencoder, X)
    _, concentration, scale = autoencoder.encode(X)
    assert scale is not None
    medians = [
        np.median(concentration[:, 0]),
        np.median(scale.mean(axis=1)),
        np.median(concentration[:, 1]),
    ]
    for axes, median in zip(figure.axes, medians, strict=True):
        (note,) = axes.texts
        assert note.get_text() == f"median {median:.3g}"
        assert sum(bar.get_height() for bar in axes.patches) == 300  # type: ignore[attr-defined]
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["concentration", "standard deviation", "concentration"]


def test_a_full_covariance_gives_the_coordinates_deviations(
    make_coder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    autoencoder = make_coder("2,3", "normal")
    small, large = [[3, 0], [4, 0]], [[1, 0, 0], [0, 2, 0], [0, 3, 4]]
    scale = np.array([np.concatenate([np.ravel(small), np.ravel(large)])] * 4, np.float32)
    code = autoencoder.sample_prior(4, seed=0)
    monkeypatch.setattr(autoencoder, "encode", lambda x: (code, np.empty((4, 0)), scale))
    figure = concentrations(autoencoder, X[:4])
    notes = [axes.texts[0].get_text() for axes in figure.axes]
    assert notes == ["median 3.5", f"median {8 / 3:.3g}"]


def history(epochs: int, val_every: int = 1) -> list[dict[str, Any]]:
    entries = []
    for epoch in range(1, epochs + 1):
        figures = {"reconstruction": -90.0 + epoch, "kl": 5.0, "kl_per_factor": [2.0, 3.0]}
        entry = {"epoch": epoch, "kl_weight": epoch / epochs, "loss": 100.0 - epoch, **figures}
        if epoch % val_every == 0 or epoch == epochs:
            validation = {**figures, "elbo": -95.0 + epoch}
            entry |= {f"val_{key}": value for key, value in validation.items()}
        entries.append(entry)
    return entries


@pytest.mark.parametrize("val_every", [1, 4])
def test_training_curves(make_coder: Any, val_every: int) -> None:
    metrics = history(10, val_every)
    figure = training(metrics, factors=make_coder("2,1").factors, best_epoch=8)
    loss, elbo = figure.axes[:2]
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [m["loss"] for m in metrics])
    validated = [m for m in metrics if "val_elbo" in m]
    of_training, of_validation, best = elbo.lines
    np.testing.assert_array_equal(of_training.get_ydata(), np.arange(1, 11) - 95.0)
    np.testing.assert_array_equal(of_validation.get_xdata(), [m["epoch"] for m in validated])
    assert list(np.asarray(best.get_xdata())) == [8, 8]
    text = texts(figure)
    for words in ("loss (nats)", "ELBO (nats)", "KL per factor", "weight of the KL", "validation"):
        assert words in text
    assert "best epoch, 8" in text


def test_training_with_one_epoch_or_none() -> None:
    (line,) = training(history(1)).axes[0].lines
    assert line.get_marker() == "o"
    with pytest.raises(DataError, match="no epoch to show yet"):
        training([])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_picture_has_the_same_bytes(make_coder: Any, tmp_path: Path, ending: str) -> None:
    for name in "ab":
        save_figure(embedding(make_coder("1,2"), X, LABELS), tmp_path / f"{name}.{ending}")
    content = (tmp_path / f"a.{ending}").read_bytes()
    assert content == (tmp_path / f"b.{ending}").read_bytes()
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])
    if ending == "png":
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)


def test_no_letter_is_smaller_than_8_points(make_coder: Any) -> None:
    for figure in (
        embedding(make_coder("1,2,4"), X, LABELS),
        concentrations(make_coder("2"), X),
        training(history(3)),
    ):
        svg = figure_bytes(figure, "svg").decode()
        sizes = re.findall(r"font(?:-size)?: (?:[a-z]+ )*([\d.]+)px", svg)
        # What is raised in mathematical type is 0.7 of the letters around it.
        assert sizes
        assert min(map(float, sizes)) >= 0.7 * 8


def test_where_a_figure_goes(make_coder: Any, tmp_path: Path) -> None:
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


def test_a_single_image_can_be_drawn(make_coder: Any) -> None:
    autoencoder = make_coder("1,2,3,1,2,3", "vmf,vmf,vmf,normal,normal,normal")
    for figure in (concentrations(autoencoder, X[:1]), embedding(autoencoder, X[:1], LABELS[:1])):
        assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    for axes in concentrations(autoencoder, X[:1]).axes:
        assert sum(b.get_height() * b.get_width() for b in axes.patches) > 0  # type: ignore[attr-defined]
