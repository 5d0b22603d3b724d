"""The diagram of docs/architecture.md: `python -m benchmarks.architecture`.

The rooms and their order are read from the import contract in pyproject.toml, so that the picture
shows what CI checks. Writes architecture.svg into docs/images, or the folder given as --out.
"""

from __future__ import annotations

import textwrap
import tomllib
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from benchmarks.report import parser
from sxvae.plotting import save_figure
from sxvae.plotting.style import styled

ROOT = Path(__file__).parent.parent

# What each package or room is for, by its name in the contract.
ROOMS = {
    "sxvae_cli": "the command sxvae",
    "sxvae_export": "checkpoint to ONNX bundle",
    "training": "fit, loop, objective",
    "evaluation": "metrics, probe, embeddings",
    "models": "VAE, head, networks, likelihoods",
    "data": "data sets and sources",
    "runs": "run directory, checkpoints",
    "plotting": "pictures, report",
    "io": "atomic writes, array files",
    "config": "settings of a run",
    "collapse": "collapsed factors",
    "model_size": "bounds on models",
    "setting_types": "types of settings",
    "settings": "base of settings",
    "spaces": "product space",
    "space_bounds": "bounds on spaces",
    "user_paths": "paths with ~",
    "distributions": "densities, samplers, KL",
    "kernels": "compiled by Numba",
    "devices": "device, threads",
    "errors": "what can go wrong",
    "randomness": "random streams",
    "sxvae_runtime": "reads a bundle: NumPy and onnxruntime",
}
TRAINING = [
    ("batch", "data", "images x, binarised anew"),
    ("encode", "models", "encoder and posterior head"),
    ("sample, KL", "models, kernels", "z of q(z given x), KL per factor"),
    ("decode", "models", "decoder and likelihood"),
    ("loss", "training", "weight * KL - reconstruction"),
    ("step", "training", "gradients and Adam"),
]
EXPORT = [
    ("checkpoint", "runs", "weights and settings"),
    ("model", "models", "rebuilt from the settings"),
    ("graphs", "sxvae_export", "encoder, decoder and sampler"),
    ("check", "sxvae_export", "onnxruntime against PyTorch"),
    ("bundle", "io", "written whole, with manifest"),
    ("application", "sxvae_runtime", "runs it without PyTorch"),
]

_INK, _LINE = "#1c1c1c", "#5f6368"
_PACKAGE, _WITH_TORCH, _WITHOUT_TORCH = "#dcdfe3", "#f6d5bd", "#cfe3f2"
# The rooms that the contract keeps free of PyTorch, and those below it that never import it.
_NO_TORCH = {
    *("runs", "plotting", "io", "config", "collapse", "model_size", "setting_types", "settings"),
    *("spaces", "space_bounds", "user_paths", "kernels", "errors"),
    "sxvae_runtime",
}
# Inches.
_WIDTH, _ROW, _GAP, _FLOW_HEIGHT = 6.75, 0.42, 0.08, 1.34


def contract() -> tuple[list[str], list[list[str]]]:
    """The packages, and the rooms of sxvae row by row, both from top to bottom."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = [
        table["layers"]
        for table in tables["tool"]["importlinter"]["contracts"]
        if table["type"] == "layers"
    ]
    packages, rooms = layers
    return packages, [[name.strip() for name in row.split(":")] for row in rooms]


@styled
def diagram() -> Figure:
    """The rooms above, a training step and an export below."""
    packages, rooms = contract()
    height = _rooms_height(rooms) + 2 * _FLOW_HEIGHT
    figure = Figure(figsize=(_WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, _WIDTH)
    axes.set_ylim(height, 0)  # downwards, as the text is read
    axes.set_axis_off()
    top = _draw_rooms(axes, packages, rooms)
    top = _draw_flow(axes, "One training step", TRAINING, top + 0.2)
    _draw_flow(axes, "One export", EXPORT, top + 0.2)
    return figure


def _rooms_height(rooms: list[list[str]]) -> float:
    return 0.3 + (len(rooms) + 3) * (_ROW + _GAP) + 0.34 + _GAP


def _draw_rooms(axes: Axes, packages: list[str], rooms: list[list[str]]) -> float:
    _text(axes, 0.1, 0.13, "Rooms: imports point downwards only", size=10, weight="bold")
    top = 0.3
    above, below = packages[: packages.index("sxvae")], packages[packages.index("sxvae") + 1 :]
    for name in above:
        top = _draw_row(axes, [name], top, _PACKAGE)
    inner = len(rooms) * (_ROW + _GAP) + 0.34
    _box(axes, 0.1, top, _WIDTH - 0.2, inner, "#ffffff")
    _text(axes, 0.2, top + 0.15, "sxvae", weight="bold")
    key = "blue: works without PyTorch; orange: needs it"
    _text(axes, _WIDTH - 0.2, top + 0.15, key, size=8, align="right", colour=_LINE)
    end = top + inner + _GAP
    top += 0.28
    for row in rooms:
        top = _draw_row(axes, row, top, None)
    for name in below:
        end = _draw_row(axes, [name], end, _WITHOUT_TORCH)
    return end


def _draw_row(axes: Axes, names: list[str], top: float, fill: str | None) -> float:
    """Boxes side by side as wide as the page; returns where the next row begins."""
    margin = 0.1 if fill else 0.2
    width = (_WIDTH - 2 * margin - _GAP * (len(names) - 1)) / len(names)
    for column, name in enumerate(names):
        left = margin + column * (width + _GAP)
        colour = fill or (_WITHOUT_TORCH if name in _NO_TORCH else _WITH_TORCH)
        _box(axes, left, top, width, _ROW, colour)
        _text(axes, left + width / 2, top + 0.14, name, weight="bold", align="center")
        _text(axes, left + width / 2, top + 0.31, ROOMS[name], size=8, align="center")
    return top + _ROW + _GAP


def _draw_flow(axes: Axes, title: str, steps: list[tuple[str, str, str]], top: float) -> float:
    """Steps from left to right with arrows between; returns where the drawing ends."""
    _text(axes, 0.1, top, title, size=10, weight="bold")
    top += 0.16
    arrow, height = 0.16, 0.95
    width = (_WIDTH - 0.2 - arrow * (len(steps) - 1)) / len(steps)
    for index, (name, room, about) in enumerate(steps):
        left = 0.1 + index * (width + arrow)
        _box(axes, left, top, width, height, "#ffffff")
        middle = left + width / 2
        _text(axes, middle, top + 0.15, name, weight="bold", align="center")
        _text(axes, middle, top + 0.32, room, size=8, align="center", colour=_LINE)
        for line, words in enumerate(textwrap.wrap(about, 15)):
            _text(axes, middle, top + 0.54 + 0.15 * line, words, size=8, align="center")
        if index:
            axes.annotate(
                "",
                (left, top + height / 2),
                (left - arrow, top + height / 2),
                arrowprops={"arrowstyle": "-|>", "color": _LINE, "shrinkA": 0, "shrinkB": 0},
            )
    return top + height


def _box(axes: Axes, left: float, top: float, width: float, height: float, fill: str) -> None:
    style = "round,pad=0,rounding_size=0.05"
    axes.add_patch(
        FancyBboxPatch((left, top), width, height, style, facecolor=fill, edgecolor=_LINE, lw=0.7)
    )


def _text(
    axes: Axes,
    x: float,
    y: float,
    words: str,
    *,
    size: float = 9,
    weight: str = "normal",
    align: Literal["left", "center", "right"] = "left",
    colour: str = _INK,
) -> None:
    axes.text(x, y, words, fontsize=size, weight=weight, ha=align, va="center", color=colour)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    folder = options.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(diagram(), folder / "architecture.svg")


if __name__ == "__main__":
    main()
