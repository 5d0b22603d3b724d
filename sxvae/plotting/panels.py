"""Figures of several panels, laid out for a page's text width."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Inches.
_PAGE_WIDTH = 6.75


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of empty panels, row by row.

    Args:
        count: the number of panels.
        columns: panels in a full row, which is as wide as a page's text.
        height: of a panel, in inches.
    """
    used = min(count, columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(_PAGE_WIDTH / columns * used, height * rows), layout="constrained")
    grid = figure.add_gridspec(rows, used)
    return figure, [figure.add_subplot(grid[divmod(i, columns)]) for i in range(count)]
