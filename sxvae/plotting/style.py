"""The style of all figures, and writing them so that the same call gives the same bytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from sxvae.errors import ConfigError
from sxvae.io.atomic import write_atomically
from sxvae.user_paths import user_path
from sxvae_runtime.pictures import SOFTWARE

_Parameters = ParamSpec("_Parameters")

# Figures are made for printing at their own size, where no letter is smaller than 8 points.
_STYLE: Any = {  # matplotlib's type lists every setting there is
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.04,
    "svg.hashsalt": "sxvae",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

# Okabe and Ito's colours, which colour-blind readers can tell apart.
OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
# Paul Tol's "muted" colours and black, for more classes than those.
_MUTED = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#000000",
)
_MARKERS = ("o", "^", "s", "D", "v", "P", "X")

GREY = "#767676"

# The file formats, each without time of writing and versions; a PNG says that we made it.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": SOFTWARE},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_DPI = 200


def styled(draw: Callable[_Parameters, Figure]) -> Callable[_Parameters, Figure]:
    """Make a drawing function use our style, and leave matplotlib's own settings unchanged."""

    @functools.wraps(draw)
    def drawn(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def class_styles(count: int) -> list[tuple[str, str]]:
    """A colour and a marker for each of `count` classes.

    Up to 8 classes have Okabe and Ito's colours, up to 10 Paul Tol's. With more classes the colours
    repeat with other markers.
    """
    colours = OKABE_ITO if count <= len(OKABE_ITO) else _MUTED
    return [
        (colours[i % len(colours)], _MARKERS[i // len(colours) % len(_MARKERS)])
        for i in range(count)
    ]


def file_format(path: Path) -> str:
    """The format that a file's suffix names: "png", "svg" or "pdf".

    Raises:
        ConfigError: if the suffix is another.
    """
    ending = path.suffix[1:].lower()
    if ending not in _METADATA:
        raise ConfigError(f"{path} says no format of a picture: end it in .png, .svg or .pdf")
    return ending


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Render a figure as "png" (200 dots per inch), "svg" or "pdf"."""
    content = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(content, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return content.getvalue()


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure whole or not at all, in the format that the file's suffix names.

    Raises:
        ConfigError: if the suffix names none.
        OutputError: if the file can't be written.
    """
    target = user_path(path)
    write_atomically(target, figure_bytes(figure, file_format(target)))
