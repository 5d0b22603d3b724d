"""Images: what a model is trained and evaluated on, and where they come from."""

from sxvae.data.images import ImageData, Split
from sxvae.data.registry import DATASETS, load_again, load_data, located

__all__ = ["DATASETS", "ImageData", "Split", "load_again", "load_data", "located"]
