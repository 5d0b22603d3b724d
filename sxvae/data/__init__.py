"""Data sets of images: their splits, their binarisation, and the sources that load them."""

from sxvae.data.images import ImageData, Split
from sxvae.data.registry import DATASETS, load_again, load_data, pixel_levels, relocated

__all__ = ["DATASETS", "ImageData", "Split", "load_again", "load_data", "pixel_levels", "relocated"]
