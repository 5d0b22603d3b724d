"""Pictures of the mean codes of a data set: a panel for each factor, coloured by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from sxvae.collapse import is_at_floor
from sxvae.errors import DataError
from sxvae.plotting.autoencoder import (
    Autoencoder,
    Floats,
    encode_images,
    panel_name,
)
from sxvae.plotting.geometry import hammer, principal, principal_geodesics
from sxvae.plotting.panels import panels
from sxvae.plotting.style import GREY, class_styles, styled
from sxvae_runtime.factors import Factor
from sxvae_runtime.geometry import Points, unit

# Points are drawn in a shuffled order; otherwise the last class would cover the others.
_SHUFFLE_SEED = 0
_MOST_IN_LEGEND = 30
_LONGEST_NAME = 24
# What fits side by side into a picture, in letters; a marker and the gap take some, too.
_LETTERS_IN_LEGEND, _LETTERS_OF_MARKER = 90, 4
_OUTLINE = "#b5b5b5"
_INNERMOST_RADIUS = 0.25
_RING_BINS = 60
_COLUMNS, _PANEL_HEIGHT = 2, 2.8
_PALE = 0.2
_COLLAPSED = "collapsed: positions say next to nothing"


@styled
def embedding(
    autoencoder: Autoencoder,
    x: Floats,
    labels: NDArray[Any] | None = None,
    *,
    collapsed: Iterable[int] = (),
) -> Figure:
    """Draw the mean codes of images, a panel for each factor.

    S^1 is drawn as rings around the circle, one for each class and the first class outermost; the
    colour at an angle is stronger where the class has more codes. S^2 is drawn in the Hammer
    projection, which keeps areas. R^1 has a row for each class, R^2 a scatter plot. Larger spheres
    are shown along their two principal geodesic directions, larger Euclidean factors along their
    two principal components; the axis states which share of the variance these hold.

    Mean codes have a direction even where the posterior says nothing of the image. The panels of
    collapsed factors are pale and say so.

    Args:
        autoencoder: the model.
        x: images in [0, 1], shape (n, C, H, W).
        labels: the class of each image, a number or a name, shape (n,); None draws all points
            alike.
        collapsed: the indices, from 0, of factors that are known to have collapsed, as
            `Evaluation.collapsed` says. Those whose concentration is at its floor are found here.

    Raises:
        DataError: if there is no image, they have another shape than the model's, or there are not
            as many labels.
        NumericalError: if a code is not finite.
    """
    if labels is not None and labels.shape != (len(x),):
        raise DataError(f"the labels have the shape {labels.shape}; ({len(x)},) is needed")
    means, concentration, _ = encode_images(autoencoder, x)
    loc = means.astype(np.float64)
    classes = _Classes(len(x), labels)
    factors = autoencoder.factors
    figure, axes = panels(len(factors), _COLUMNS, _PANEL_HEIGHT)
    pale = {*collapsed, *_at_floor(factors, concentration)}
    for index, panel in enumerate(axes):
        panel.set_title(panel_name(factors, index))
        _draw(panel, factors[index], loc[:, factors[index].slice], classes)
        if index in pale:
            _mark_collapsed(panel)
    classes.add_legend(figure)
    return figure


def _at_floor(factors: Sequence[Factor], concentration: Floats) -> list[int]:
    """The indices of the spheres whose posteriors are as vague as they can be."""
    spheres = [index for index, factor in enumerate(factors) if factor.is_sphere]
    means = concentration.mean(axis=0, dtype=np.float64)
    return [index for index, k in zip(spheres, means, strict=True) if is_at_floor(float(k))]


def _mark_collapsed(panel: Axes) -> None:
    """Let nobody read a meaning into positions that say nothing of the image."""
    for drawn in [*panel.collections, *panel.texts]:
        drawn.set_alpha(_PALE)
    panel.set_title(f"{panel.get_title()}\n{_COLLAPSED}")


class _Classes:
    """The class of each point, and the colour and marker of each class."""

    def __init__(self, n: int, labels: NDArray[Any] | None) -> None:
        self.labelled = labels is not None
        groups = np.zeros(n, dtype=int) if labels is None else labels
        names, self.index = np.unique(groups, return_inverse=True)
        self.names = [_shown(str(name)) for name in names]
        self.styles = class_styles(len(names)) if self.labelled else [(GREY, "o")]
        self.order = np.random.default_rng(_SHUFFLE_SEED).permutation(n)

    def scatter(self, panel: Axes, points: Points) -> None:
        """Draw points, shape (n, 2), in the colours of their classes."""
        size = float(np.clip(20_000 / len(points), 1.5, 14))
        markers = np.array([marker for _, marker in self.styles])[self.index]
        colours = np.array([colour for colour, _ in self.styles])[self.index]
        for marker in dict.fromkeys(marker for _, marker in self.styles):
            shown = self.order[markers[self.order] == marker]
            panel.scatter(
                points[shown, 0],
                points[shown, 1],
                c=colours[shown],
                marker=marker,
                s=size,
                linewidths=0,
                alpha=0.7,
                rasterized=True,  # viewers are slow with thousands of vector points
            )

    def name_at(self, panel: Axes, positions: Points) -> None:
        """Write each class's name, outlined in white, at its position; shape (classes, 2)."""
        if not self.labelled or len(self.names) > _MOST_IN_LEGEND:
            return
        for name, (colour, _), (x, y) in zip(self.names, self.styles, positions, strict=True):
            text = panel.text(x, y, name, color=colour, ha="center", va="center", weight="bold")
            text.set_path_effects([effects.withStroke(linewidth=2.5, foreground="white")])

    def medians(self, points: Points) -> Points:
        """The median of each class, coordinate by coordinate, shape (classes, p)."""
        return np.stack([np.median(points[self.index == i], axis=0) for i in self._all()])

    def directions(self, points: Points) -> Points:
        """The mean direction of each class, shape (classes, p)."""
        return unit(np.stack([points[self.index == i].mean(axis=0) for i in self._all()]))

    def _all(self) -> range:
        return range(len(self.names))

    def add_legend(self, figure: Figure) -> None:
        """List the classes below all panels, unless there are no labels or too many classes."""
        if not self.labelled or len(self.names) > _MOST_IN_LEGEND:
            return
        handles = [
            Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label="class")
            for colour, marker in self.styles
        ]
        columns = _LETTERS_IN_LEGEND // (max(map(len, self.names)) + _LETTERS_OF_MARKER)
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(10, columns, len(handles)),
            handletextpad=0.1,
            columnspacing=1.0,
        )
        # As text of its own, because matplotlib leaves out labels that begin with an underscore.
        for text, name in zip(legend.get_texts(), self.names, strict=True):
            text.set_text(name)


def _shown(name: str) -> str:
    """A class's name as a picture can show it: not too long, and not taken for mathematics."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    # An SVG file with control characters can't be opened.
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in short)
    return printable.replace("$", r"\$")


def _draw(panel: Axes, factor: Factor, points: Points, classes: _Classes) -> None:
    if factor.is_sphere:
        draw = {1: _rings, 2: _globe}.get(factor.dim, _geodesics)
    else:
        draw = {1: _rows, 2: _plane}.get(factor.dim, _components)
    draw(panel, points, classes)


def _rings(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw S^1: a ring for each class, whose colour is stronger where the class has more codes."""
    edges = np.linspace(-np.pi, np.pi, _RING_BINS + 1)
    radii = np.linspace(1, _INNERMOST_RADIUS, len(classes.names) + 1)
    angles = np.arctan2(points[:, 1], points[:, 0])
    names_at = []
    for ring, (colour, _) in enumerate(classes.styles):
        density = np.histogram(angles[classes.index == ring], edges)[0]
        strength = (density / density.max())[None, :, None]
        wedges = 1 - strength * (1 - np.array(to_rgb(colour)))
        band = (radii[ring] + np.array([0, 0.92]) * (radii[ring + 1] - radii[ring]))[:, None]
        x, y = band * np.cos(edges), band * np.sin(edges)
        panel.pcolormesh(x, y, wedges, edgecolors="face", linewidth=0.3, rasterized=True)
        for radius in band:
            panel.plot(radius * np.cos(edges), radius * np.sin(edges), color=_OUTLINE, lw=0.4)
        mode = edges[np.argmax(density)] + np.pi / _RING_BINS
        names_at.append(band.mean() * np.array([np.cos(mode), np.sin(mode)]))
    classes.name_at(panel, np.stack(names_at))
    for degrees in range(0, 360, 90):
        right, up = 1.16 * np.cos(np.radians(degrees)), 1.12 * np.sin(np.radians(degrees))
        panel.text(right, up, f"{degrees}°", ha="center", va="center", fontsize=8, color=GREY)
    _bare(panel, (1.3, 1.2))


def _globe(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw S^2 in the Hammer projection, with a graticule of 30 by 45 degrees."""
    latitudes, longitudes = np.radians(np.arange(-60, 61, 30)), np.radians(np.arange(-180, 181, 45))
    fine = np.linspace(-1, 1, 181)
    for latitude in latitudes:
        panel.plot(*_map_line(np.pi * fine, np.full(181, latitude)), color=_OUTLINE, lw=0.4)
    for longitude in longitudes:
        edge = abs(longitude) > 3.1
        line = _map_line(np.full(181, longitude), np.pi / 2 * fine)
        panel.plot(*line, color=GREY if edge else _OUTLINE, lw=0.9 if edge else 0.4)
    globe = unit(points)
    classes.scatter(panel, hammer(globe))
    classes.name_at(panel, hammer(classes.directions(globe)))
    _bare(panel, (2.9, 1.5))


def _map_line(longitude: Points, latitude: Points) -> Points:
    # Stay a little inside of +-180 degrees, where the map jumps from one edge to the other.
    longitude = longitude * (1 - 1e-9)
    x = np.cos(latitude) * np.cos(longitude)
    y = np.cos(latitude) * np.sin(longitude)
    return hammer(np.stack([x, y, np.sin(latitude)], axis=-1)).T


def _geodesics(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw S^m, m >= 3, on the tangent plane at the Fréchet mean."""
    coordinates, share = principal_geodesics(unit(points))
    _scatter_named(panel, coordinates, classes)
    panel.set_xlabel(f"geodesic direction 1 (rad)\n1 and 2: {share:.0%} of the variance")
    panel.set_ylabel("geodesic direction 2 (rad)")


def _components(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw R^m, m >= 3, along its two principal components."""
    coordinates, share = principal(points)
    _scatter_named(panel, coordinates, classes)
    panel.set_xlabel(f"component 1\n1 and 2: {share:.0%} of the variance")
    panel.set_ylabel("component 2")


def _plane(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw R^2."""
    _scatter_named(panel, points, classes)
    panel.set_xlabel("coordinate 1")
    panel.set_ylabel("coordinate 2")


def _rows(panel: Axes, points: Points, classes: _Classes) -> None:
    """Draw R^1: a row for each class, in which vertical jitter keeps points apart."""
    jitter = np.random.default_rng(_SHUFFLE_SEED).uniform(-0.3, 0.3, len(points))
    classes.scatter(panel, np.stack([points[:, 0], classes.index + jitter], axis=-1))
    panel.set_xlabel("coordinate")
    few = len(classes.names) <= _MOST_IN_LEGEND
    panel.set_yticks(range(len(classes.names)), classes.names if classes.labelled and few else [])
    panel.invert_yaxis()


def _scatter_named(panel: Axes, points: Points, classes: _Classes) -> None:
    classes.scatter(panel, points)
    classes.name_at(panel, classes.medians(points))
    panel.set_aspect("equal", adjustable="datalim")


def _bare(panel: Axes, limits: Sequence[float]) -> None:
    """Hide the axes, give both the same scale, and set limits that hold the whole drawing."""
    panel.set_axis_off()
    panel.set_aspect("equal")
    panel.set_xlim(-limits[0], limits[0])
    panel.set_ylim(-limits[1], limits[1])
