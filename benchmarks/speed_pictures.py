"""The pictures of docs/performance.md, from the measurements that `python -m benchmarks` keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks.pictures import OTHERS, OURS, STYLE

# A measurement as `Finding.as_dict` gives it.
Entry = Mapping[str, Any]
# Beside ours, of Okabe and Ito's colours.
_PEERS = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_TIMES = ("step", "loop", "bessel", "evaluation", "runtime", "startup")


def growth(entries: list[Entry]) -> Figure:
    """A step over the auto-encoder's, along each curve."""
    curves: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        curves[entry["detail"]["curve"]].append(entry["detail"])
    figure, panels = plt.subplots(1, len(curves), figsize=(7.5, 2.6), sharey=True, squeeze=False)
    figure.set_layout_engine("constrained")
    for panel, (name, points) in zip(panels[0], curves.items(), strict=True):
        sizes = [point["size"] for point in points]
        panel.semilogx(sizes, [p["over_autoencoder"] for p in points], "o-", ms=3, color=OURS)
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=45, minor=False)
        panel.set_xticks([], minor=True)
        panel.set_xlabel(name)
        panel.axhline(1, color="0.6", lw=0.8)
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("step over auto-encoder's")
    panels[0, 0].set_ylim(bottom=0)
    return figure


def sampling(entries: list[Entry]) -> Figure:
    """Rates over that of normals by dimension, a panel for each concentration."""
    rates = [entry for entry in entries if entry["at_least"]]
    concentrations = sorted({entry["detail"]["k"] for entry in rates})
    figure, panels = plt.subplots(
        1, len(concentrations), figsize=(7.5, 2.9), sharey=True, squeeze=False
    )
    figure.set_layout_engine("constrained")
    names = list(dict.fromkeys(entry["detail"]["sampler"] for entry in rates))
    colours = dict(zip(names, ["0.6", OURS, OTHERS, *_PEERS], strict=False))  # the limit is first
    for panel, k in zip(panels[0], concentrations, strict=True):
        for name in names:
            points = [e for e in rates if (e["detail"]["k"], e["detail"]["sampler"]) == (k, name)]
            sizes = [entry["detail"]["p"] for entry in points]
            panel.loglog(
                sizes, [e["ratio"] for e in points], "o-", ms=3, color=colours[name], label=name
            )
        targets = [entry for entry in rates if entry["detail"]["k"] == k and entry["target"]]
        aims = [(entry["detail"]["p"], entry["target"]) for entry in targets]
        panel.plot(*zip(*aims, strict=True), "_", ms=12, color="0.3", label="aim")
        panel.set_xticks(sizes, [str(size) for size in sizes], minor=False)
        panel.set_xticks([], minor=True)
        panel.set_title(f"k = {k:g}", fontsize=9)
        panel.set_xlabel("p")
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel("rate over normals'")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def limits(entries: list[Entry]) -> Figure:
    """Every time over its limit, by medians and to the limit's best run, with its aim."""
    timed = [e for e in entries if "ratio_of_medians" in e["detail"] and e["target"]]
    figure, panel = plt.subplots(figsize=(7.5, 0.9 + 0.22 * len(timed)), layout="constrained")
    rows = range(len(timed))
    aims = [entry["target"] for entry in timed]
    panel.plot(aims, rows, "|", ms=9, mew=2, color="0.3", label="aim")
    panel.plot([e["ratio"] for e in timed], rows, "o", ms=4, color=OTHERS, label="to best run")
    medians = [entry["detail"]["ratio_of_medians"] for entry in timed]
    panel.plot(medians, rows, "o", ms=4, color=OURS, label="of medians")
    panel.axvline(1, color="0.6", lw=0.8)
    panel.set_yticks(rows, [entry["what"] for entry in timed])
    panel.invert_yaxis()
    panel.set_xlabel("time over the limit's")
    panel.set_xlim(left=0)
    panel.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def evaluation(entries: list[Entry]) -> Figure:
    """Seconds of an evaluation of a few images by the number of samples, beside its limit."""
    timed = [e for e in entries if "seconds" in e["detail"] and not e["target"]]
    samples = [entry["detail"]["samples"] for entry in timed]
    figure, panel = plt.subplots(figsize=(4.5, 2.8), layout="constrained")
    for key, label, colour in (
        ("limit_best", "decoder and likelihood", OTHERS),
        ("median", "sxvae", OURS),
    ):
        seconds = [entry["detail"]["seconds"][key] for entry in timed]
        panel.loglog(samples, seconds, "o-", ms=3, color=colour, label=label)
    panel.set_xlabel("importance samples")
    panel.set_ylabel("seconds")
    panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    return figure


_PICTURES: dict[str, Callable[[list[Entry]], Figure]] = {
    "growth": growth,
    "sampling": sampling,
    "evaluation": evaluation,
}


def draw(benchmarks: list[Mapping[str, Any]], folder: Path) -> None:
    """Write performance-*.svg for those benchmarks that are there.

    Args:
        benchmarks: as `Finding.as_dict` gives them.
        folder: made where it is missing.
    """
    mpl.use("agg")
    plt.style.use(STYLE)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        each["name"]: _PICTURES[each["name"]](each["measurements"])
        for each in benchmarks
        if each["name"] in _PICTURES
    }
    timed = [
        entry for each in benchmarks if each["name"] in _TIMES for entry in each["measurements"]
    ]
    if timed:
        figures["limits"] = limits(timed)
    for name, figure in figures.items():
        figure.savefig(folder / f"performance-{name}.svg", metadata={"Date": None})
