"""Labelled rows and columns of images as one matplotlib figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sxvae.errors import DataError
from sxvae.plotting.grid import image_grid
from sxvae.plotting.style import styled
from sxvae_runtime.pictures import GAP

_Pixels = NDArray[np.uint8]

# Inches. A figure is at most as wide as a page's text, and an image at most so large.
_PAGE_WIDTH = 6.75
_LARGEST_IMAGE = 0.62
_LETTER_WIDTH, _LABELS_ABOVE = 0.075, 0.22


@dataclass(frozen=True)
class Block:
    """Rows of images that belong together.

    Attributes:
        rows: images with values in [0, 1], shape (columns, C, H, W) each; the last row of a block
            may have fewer.
        labels: one for each row, one for the whole block, or none.
    """

    rows: Sequence[NDArray[Any]]
    labels: tuple[str, ...] = ()


@styled
def tile_figure(
    blocks: Sequence[Block], *, columns: Sequence[str] = (), set_apart: int = 0
) -> Figure:
    """Draw blocks below each other, with a space between them.

    Args:
        blocks: the first has the most columns.
        columns: a label above each column, or none.
        set_apart: the number of columns on the left that a space separates from the others.

    Raises:
        DataError: if the images have neither 1 nor 3 channels.
        NumericalError: if a value is not finite.
    """
    _refuse_channels(blocks[0].rows[0].shape[1])
    one = _pixels([blocks[0].rows[0][:1]])
    height, width = one.shape[0] - GAP, one.shape[1] - GAP  # from an image to the next
    space = height // 4
    mosaics = [_mosaic(block.rows, set_apart, space) for block in blocks]
    canvas = _below_each_other(mosaics, space)

    labels = [label for block in blocks for label in block.labels]
    lines = [line for label in labels for line in label.translate(_MATHEMATICS).split("\n")]
    left = _LETTER_WIDTH * max((len(line) + 1 for line in lines), default=0)
    above = _LABELS_ABOVE if columns else 0.0
    scale = min(_LARGEST_IMAGE / min(width, height), (_PAGE_WIDTH - left) / canvas.shape[1])
    right, below = canvas.shape[1] * scale, canvas.shape[0] * scale
    figure = Figure(figsize=(left + right, above + below))
    axes = figure.add_axes(
        (left / (left + right), 0, right / (left + right), below / (above + below))
    )
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=3, labeltop=True, labelbottom=False)
    axes.set_yticks(_label_positions(blocks, mosaics, space), labels)
    shifts = [space if i >= set_apart > 0 else 0 for i in range(len(columns))]
    axes.set_xticks([GAP + width * (i + 0.5) + s for i, s in enumerate(shifts)], columns)
    return figure


def shows_channels(channels: int) -> bool:
    """Whether images with this number of channels can be drawn: grey (1) or RGB (3)."""
    return channels in (1, 3)


def _refuse_channels(channels: int) -> None:
    if not shows_channels(channels):
        raise DataError(
            f"images of {channels} channels can't be shown: pictures are grey (1) or RGB (3)"
        )


# Characters of mathematical notation that take no room in the figure.
_MATHEMATICS = str.maketrans("", "", "${}^")


def _pixels(rows: Sequence[NDArray[Any]]) -> _Pixels:
    """The rows side by side as one RGB image, shape (height, width, 3)."""
    return np.asarray(image_grid(np.concatenate(rows), len(rows[0])).convert("RGB"))


def _mosaic(rows: Sequence[NDArray[Any]], set_apart: int, space: int) -> _Pixels:
    if not set_apart:
        return _pixels(rows)
    first = _pixels([row[:set_apart] for row in rows])[:, :-GAP]
    first = np.pad(first, ((0, 0), (0, space), (0, 0)), **_WHITE)
    return np.concatenate([first, _pixels([row[set_apart:] for row in rows])], axis=1)


_WHITE: dict[str, Any] = {"mode": "constant", "constant_values": 255}


def _below_each_other(mosaics: Sequence[_Pixels], space: int) -> _Pixels:
    widest = max(mosaic.shape[1] for mosaic in mosaics)
    rows = [np.pad(m, ((0, space), (0, widest - m.shape[1]), (0, 0)), **_WHITE) for m in mosaics]
    return np.concatenate(rows)[:-space]


def _label_positions(
    blocks: Sequence[Block], mosaics: Sequence[_Pixels], space: int
) -> list[float]:
    """The vertical middle, in pixels, of the row or block that each label belongs to."""
    positions: list[float] = []
    top = 0
    for block, mosaic in zip(blocks, mosaics, strict=True):
        share = mosaic.shape[0] / max(1, len(block.labels))
        positions += [top + share * (i + 0.5) for i in range(len(block.labels))]
        top += mosaic.shape[0] + space
    return positions
