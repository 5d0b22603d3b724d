"""Pictures of numbers: how sure the posteriors are, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from sxvae.errors import DataError
from sxvae.plotting.autoencoder import (
    Autoencoder,
    Floats,
    finite_codes,
    panel_name,
    symbol,
)
from sxvae.plotting.panels import panels
from sxvae.plotting.style import GREY, OKABE_ITO, class_styles, styled
from sxvae_runtime.factors import Factor
from sxvae_runtime.geometry import Points

_BINS = 40
# Where the largest value is so many times the smallest, the axis is logarithmic.
_LOG_FROM = 20
_COLUMNS, _PANEL_HEIGHT = 3, 1.9
_DASHED = (0, (4, 2))
_TRAINING, _VALIDATION = OKABE_ITO[1], OKABE_ITO[0]


@styled
def concentrations(autoencoder: Autoencoder, x: Floats) -> Figure:
    """How sure the posteriors are: a histogram over the images for each factor.

    Of the concentration on a sphere, and of the standard deviation, the mean over the coordinates,
    of a Euclidean factor. A line marks the median.

    Args:
        autoencoder: the model.
        x: images in [0, 1], shape (n, C, H, W).

    Raises:
        DataError: if there is no image, or they have another shape than the model's.
        NumericalError: if a value is not finite.
    """
    _, concentration, scale = finite_codes(autoencoder, x)
    spheres = iter(concentration.T.astype(np.float64))
    deviations = iter(_mean_deviations(autoencoder.factors, scale))
    figure, axes = panels(len(autoencoder.factors), _COLUMNS, _PANEL_HEIGHT)
    for place, panel in enumerate(axes):
        round_one = autoencoder.factors[place].is_sphere
        values = next(spheres) if round_one else next(deviations)
        _histogram(panel, values)
        panel.set_title(panel_name(autoencoder.factors, place))
        panel.set_xlabel("concentration" if round_one else "standard deviation")
        panel.set_ylabel("images")
    return figure


def _mean_deviations(factors: Sequence[Factor], scale: Floats | None) -> list[Points]:
    """Each Euclidean factor's standard deviation, the mean over its coordinates, shape (n,)."""
    dims = [factor.dim for factor in factors if not factor.is_sphere]
    if scale is None or not dims:
        return []
    # All normal factors of a space share one kind of covariance, which the number of scales says.
    single, diagonal, full = [1] * len(dims), dims, [dim**2 for dim in dims]
    sizes = next(s for s in (diagonal, single, full) if sum(s) == scale.shape[1])
    parts = np.split(scale.astype(np.float64), np.cumsum(sizes)[:-1], axis=1)
    if sizes == full:  # rows of the Cholesky factor: their norms are the deviations
        parts = [
            np.linalg.norm(part.reshape(-1, dim, dim), axis=-1)
            for part, dim in zip(parts, dims, strict=True)
        ]
    return [part.mean(axis=1) for part in parts]


def _histogram(panel: Axes, values: Points) -> None:
    low, high = float(values.min()), float(values.max())
    wide = low > 0 and high > _LOG_FROM * low
    if wide:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(numticks=6))
        panel.xaxis.set_minor_formatter(NullFormatter())
    edges = np.geomspace(low, high, _BINS + 1) if wide else np.histogram_bin_edges(values, _BINS)
    panel.hist(values, bins=edges.tolist(), color=_VALIDATION, linewidth=0)
    median = float(np.median(values))
    panel.axvline(median, color=_TRAINING, linewidth=1.2)
    panel.annotate(
        f"median {median:.3g}",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=8,
        color=_TRAINING,
    )


@styled
def training(
    metrics: Sequence[Mapping[str, Any]],
    *,
    factors: Sequence[Factor] | None = None,
    best_epoch: int | None = None,
) -> Figure:
    """Curves of a training: loss, ELBO, reconstruction, KL of each factor and the KL's weight.

    Args:
        metrics: a dictionary an epoch, as in metrics.jsonl; not every epoch needs validation.
        factors: names the KL's curves; they are numbered if None.
        best_epoch: marked by a vertical line.

    Raises:
        DataError: if there is no epoch yet.
    """
    if not metrics:
        raise DataError("there is no epoch to show yet: train first")
    history = [
        {**m, "elbo": m["reconstruction"] - m["kl"]} if "reconstruction" in m else m
        for m in metrics
    ]
    figure, [*axes, legend] = panels(6, _COLUMNS, _PANEL_HEIGHT)
    loss, elbo, reconstruction, kl, weight = axes
    _curve(loss, history, "loss", _TRAINING)
    loss.set_title("loss (nats)")
    for panel, key, title in (
        (elbo, "elbo", "ELBO (nats)"),
        (reconstruction, "reconstruction", "reconstruction (nats)"),
    ):
        _curve(panel, history, key, _TRAINING, "training")
        _curve(panel, history, f"val_{key}", _VALIDATION, "validation")
        panel.set_title(title)
    _kl_curves(kl, history, factors)
    kl.set_title("KL per factor (nats)")
    _curve(weight, history, "kl_weight", GREY)
    weight.set_title("weight of the KL")
    weight.set_ylim(bottom=0)
    for panel in axes:
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        if best_epoch is not None:
            panel.axvline(best_epoch, color=GREY, linewidth=0.9, linestyle=_DASHED)
    _explain(legend, elbo, kl, best_epoch)
    return figure


def _explain(legend: Axes, elbo: Axes, kl: Axes, best_epoch: int | None) -> None:
    """What the curves are, in a panel of its own, where it covers none."""
    lines = [line for panel in (elbo, kl) for line in panel.get_lines()]
    handles = [line for line in lines if not str(line.get_label()).startswith("_")]
    if best_epoch is not None:
        best = Line2D([], [], color=GREY, linewidth=0.9, linestyle=_DASHED)
        best.set_label(f"best epoch, {best_epoch}")
        handles.append(best)
    legend.set_axis_off()
    legend.legend(handles=handles, loc="upper left", ncols=1 if len(handles) <= 8 else 2)


def _curve(
    panel: Axes,
    history: Sequence[Mapping[str, Any]],
    key: str,
    colour: str,
    label: str | None = None,
) -> None:
    points = [(entry["epoch"], entry[key]) for entry in history if key in entry]
    if points:
        single = "o" if len(points) == 1 else None  # a line needs two points to be seen
        panel.plot(*zip(*points, strict=True), color=colour, marker=single, ms=4, label=label)


def _kl_curves(
    panel: Axes,
    history: Sequence[Mapping[str, Any]],
    factors: Sequence[Factor] | None,
) -> None:
    """Validation's where there is any, else training's."""
    validated = any("val_kl_per_factor" in entry for entry in history)
    key = "val_kl_per_factor" if validated else "kl_per_factor"
    known = [entry for entry in history if key in entry]
    if not known:
        return
    count = len(known[0][key])
    for i, (colour, _) in enumerate(class_styles(count + 2)[2:]):  # the first two are taken
        name = f"KL, factor {i + 1}" + ("" if factors is None else f": {symbol(factors[i])}")
        curve = [{"epoch": entry["epoch"], "kl": entry[key][i]} for entry in known]
        _curve(panel, curve, "kl", colour, name)
    panel.set_ylim(bottom=0)
