"""Training curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sxvae.errors import DataError
from sxvae.plotting import training
from tests.sxvae.plotting.conftest import history, texts


@pytest.mark.parametrize("val_every", [1, 4])
def test_training_curves(make_autoencoder: Any, val_every: int) -> None:
    metrics = history(10, val_every)
    figure = training(metrics, factors=make_autoencoder("2,1").factors, best_epoch=8)
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
