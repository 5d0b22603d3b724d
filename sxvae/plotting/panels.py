"""Panels in rows as wide as a page's text."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Inches.
_PAGE_WIDTH = 6.75


def panels(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, row by row.

    Args:
        count: how many panels.
        columns: panels in a full row, which is as wide as a page's text.
        height: of a panel, inches.
    """
    used = min(count, columns)
    rows = -(-count // columns)
    figure = Figure(figsize=(_PAGE_WIDTH / columns * used, height * rows), layout="constrained")
    grid = figure.add_gridspec(rows, used)
    return figure, [figure.add_subplot(grid[divmod(i, columns)]) for i in range(count)]
