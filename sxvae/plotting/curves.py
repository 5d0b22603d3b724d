"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sxvae.errors import DataError
from sxvae.plotting.autoencoder import symbol
from sxvae.plotting.panels import panels
from sxvae.plotting.style import GREY, OKABE_ITO, class_styles, styled
from sxvae_runtime.factors import Factor

_COLUMNS, _PANEL_HEIGHT = 3, 1.9
_DASHED = (0, (4, 2))
_TRAINING, _VALIDATION = OKABE_ITO[1], OKABE_ITO[0]


@styled
def training(
    metrics: Sequence[Mapping[str, Any]],
    *,
    factors: Sequence[Factor] | None = None,
    best_epoch: int | None = None,
) -> Figure:
    """Draw the curves of a training: loss, ELBO, reconstruction, each factor's KL, the KL's weight.

    Args:
        metrics: a dictionary for each epoch, as in metrics.jsonl; not every epoch needs validation.
        factors: the factors that name the KL's curves; None numbers the curves.
        best_epoch: the epoch that a vertical line marks; None for no line.

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
    _add_legend(legend, elbo, kl, best_epoch)
    return figure


def _add_legend(legend: Axes, elbo: Axes, kl: Axes, best_epoch: int | None) -> None:
    """Draw the legend in a panel of its own, where it covers no curve."""
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
    """Draw the KL of each factor: validation's where there is any, else training's."""
    validated = any("val_kl_per_factor" in entry for entry in history)
    key = "val_kl_per_factor" if validated else "kl_per_factor"
    known = [entry for entry in history if key in entry]
    if not known:
        return
    count = len(known[0][key])
    for i, (colour, _) in enumerate(class_styles(count + 2)[2:]):  # two colours are taken
        name = f"KL, factor {i + 1}" + ("" if factors is None else f": {symbol(factors[i])}")
        curve = [{"epoch": entry["epoch"], "kl": entry[key][i]} for entry in known]
        _curve(panel, curve, "kl", colour, name)
    panel.set_ylim(bottom=0)
