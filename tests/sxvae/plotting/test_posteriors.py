"""Histograms of concentrations and standard deviations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sxvae.plotting import concentrations

X = np.zeros((300, 1, 6, 8), np.float32)


def test_concentrations_are_counted_per_factor(make_autoencoder: Any) -> None:
    autoencoder = make_autoencoder("2,3,1", "vmf,normal,vmf")
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
    make_autoencoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    autoencoder = make_autoencoder("2,3", "normal")
    small, large = [[3, 0], [4, 0]], [[1, 0, 0], [0, 2, 0], [0, 3, 4]]
    scale = np.array([np.concatenate([np.ravel(small), np.ravel(large)])] * 4, np.float32)
    code = autoencoder.sample_prior(4, seed=0)
    monkeypatch.setattr(autoencoder, "encode", lambda x: (code, np.empty((4, 0)), scale))
    figure = concentrations(autoencoder, X[:4])
    notes = [axes.texts[0].get_text() for axes in figure.axes]
    assert notes == ["median 3.5", f"median {8 / 3:.3g}"]
