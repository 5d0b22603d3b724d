"""Pictures of how concentrated posteriors are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from sxvae.plotting.autoencoder import Autoencoder, Floats, encode_images, panel_name
from sxvae.plotting.panels import panels
from sxvae.plotting.style import OKABE_ITO, styled
from sxvae_runtime.factors import Factor
from sxvae_runtime.geometry import Points

_BINS = 40
# The axis is logarithmic where the largest value is more than so many times the smallest.
_LOG_FROM = 20
_COLUMNS, _PANEL_HEIGHT = 3, 1.9
_BARS, _MEDIAN = OKABE_ITO[0], OKABE_ITO[1]


@styled
def concentrations(autoencoder: Autoencoder, x: Floats) -> Figure:
    """Draw how concentrated the posteriors are: a histogram over the images for each factor.

    A sphere's histogram is of the concentration, a Euclidean factor's of the standard deviation,
    averaged over the coordinates. A line marks the median.

    Args:
        autoencoder: the model.
        x: images in [0, 1], shape (n, C, H, W).

    Raises:
        DataError: if there is no image, or they have another shape than the model's.
        NumericalError: if a value is not finite.
    """
    _, concentration, scale = encode_images(autoencoder, x)
    spheres = iter(concentration.T.astype(np.float64))
    deviations = iter(_mean_deviations(autoencoder.factors, scale))
    figure, axes = panels(len(autoencoder.factors), _COLUMNS, _PANEL_HEIGHT)
    for index, panel in enumerate(axes):
        is_sphere = autoencoder.factors[index].is_sphere
        values = next(spheres) if is_sphere else next(deviations)
        _histogram(panel, values)
        panel.set_title(panel_name(autoencoder.factors, index))
        panel.set_xlabel("concentration" if is_sphere else "standard deviation")
        panel.set_ylabel("images")
    return figure


def _mean_deviations(factors: Sequence[Factor], scale: Floats | None) -> list[Points]:
    """Each Euclidean factor's standard deviation, averaged over its coordinates; shape (n,)."""
    dims = [factor.dim for factor in factors if not factor.is_sphere]
    if scale is None or not dims:
        return []
    # All normal factors of a space share one kind of covariance; the number of scales tells which.
    single, diagonal, full = [1] * len(dims), dims, [dim**2 for dim in dims]
    sizes = next(s for s in (diagonal, single, full) if sum(s) == scale.shape[1])
    parts = np.split(scale.astype(np.float64), np.cumsum(sizes)[:-1], axis=1)
    if sizes == full:  # the norms of a Cholesky factor's rows are the deviations
        parts = [
            np.linalg.norm(part.reshape(-1, dim, dim), axis=-1)
            for part, dim in zip(parts, dims, strict=True)
        ]
    return [part.mean(axis=1) for part in parts]


def _histogram(panel: Axes, values: Points) -> None:
    low, high = float(values.min()), float(values.max())
    spans_decades = low > 0 and high > _LOG_FROM * low
    if spans_decades:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(numticks=6))
        panel.xaxis.set_minor_formatter(NullFormatter())
    edges = (
        np.geomspace(low, high, _BINS + 1)
        if spans_decades
        else np.histogram_bin_edges(values, _BINS)
    )
    panel.hist(values, bins=edges.tolist(), color=_BARS, linewidth=0)
    median = float(np.median(values))
    panel.axvline(median, color=_MEDIAN, linewidth=1.2)
    panel.annotate(
        f"median {median:.3g}",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=8,
        color=_MEDIAN,
    )
