"""A panel for each factor, in rows as wide as a page's text."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_ROW = 3
_UNIT = 2.25


def panels(widths: Sequence[int], height: float = _UNIT) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each width, row by row.

    Args:
        widths: 1 for a panel of a third of the page's width, 2 for one of two thirds.
        height: of a panel, inches.
    """
    rows = _rows(widths)
    units = max(sum(row) for row in rows)
    figure = Figure(figsize=(_UNIT * units, height * len(rows)), layout="constrained")
    grid = figure.add_gridspec(len(rows), units)
    axes = []
    for i, row in enumerate(rows):
        start = 0
        for width in row:
            axes.append(figure.add_subplot(grid[i, start : start + width]))
            start += width
    return figure, axes


def _rows(widths: Sequence[int]) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    for width in widths:
        if sum(rows[-1]) + width > _ROW:
            rows.append([])
        rows[-1].append(width)
    return rows
