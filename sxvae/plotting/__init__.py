"""Pictures of models and runs. Works without PyTorch; figures need matplotlib, image grids do not.

A figure function takes an `Autoencoder` and returns a matplotlib `Figure`. An autoencoder is what
`sxvae_runtime.load` returns, or `sxvae.models.autoencoder.TorchAutoencoder(model)`. Names are
imported when they are first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sxvae.plotting.autoencoder import Autoencoder as Autoencoder
    from sxvae.plotting.curves import training as training
    from sxvae.plotting.embeddings import embedding as embedding
    from sxvae.plotting.grid import image_grid as image_grid
    from sxvae.plotting.grid import save_png as save_png
    from sxvae.plotting.images import interpolation as interpolation
    from sxvae.plotting.images import reconstructions as reconstructions
    from sxvae.plotting.images import samples as samples
    from sxvae.plotting.images import swap as swap
    from sxvae.plotting.images import turn as turn
    from sxvae.plotting.posteriors import concentrations as concentrations
    from sxvae.plotting.style import save_figure as save_figure

_HOMES = {
    "Autoencoder": "autoencoder",
    "concentrations": "posteriors",
    "embedding": "embeddings",
    "image_grid": "grid",
    "interpolation": "images",
    "reconstructions": "images",
    "samples": "images",
    "save_figure": "style",
    "save_png": "grid",
    "swap": "images",
    "training": "curves",
    "turn": "images",
}

__all__ = [
    "Autoencoder",
    "concentrations",
    "embedding",
    "image_grid",
    "interpolation",
    "reconstructions",
    "samples",
    "save_figure",
    "save_png",
    "swap",
    "training",
    "turn",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (each name has its own type, above)
    if name not in _HOMES:
        raise AttributeError(f"module 'sxvae.plotting' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sxvae.plotting.{_HOMES[name]}"), name)
