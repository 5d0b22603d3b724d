"""Data sets in memory: splits of images, scaled to [0, 1] and binarised where that is needed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.config import DataSettings, Likelihood, SplitName
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.errors import DataError
from sxvae.randomness import fresh_seed

# Fixed binarisation does not depend on a run's seed, so that metrics of different runs compare.
_FIXED_SEEDS: dict[SplitName, int] = {"train": 1_001, "validation": 1_002, "test": 1_003}


@dataclass(frozen=True)
class Split:
    """The images and labels of one split.

    Attributes:
        pixels: shape (n, C, H, W), uint8 as stored or floating point.
        scale: the pixel value that stands for 1; dividing by it scales the images to [0, 1].
        labels: integer classes, shape (n,), or None.
        class_names: what the classes 0, 1, 2, ... are called; None where they have no names.
    """

    pixels: Tensor
    scale: float = 1.0
    labels: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, index: Tensor | slice) -> Tensor:
        """The images at `index`, scaled to [0, 1]: float32, shape (batch, C, H, W)."""
        return self.pixels[index].to(torch.float32) / self.scale

    def named_labels(self) -> NDArray[Any] | None:
        """The class of each image, shape (n,): its name where it has one, else its number."""
        if self.labels is None:
            return None
        labels = self.labels.cpu().numpy()
        return labels if self.class_names is None else np.array(self.class_names)[labels]

    def subset(self, index: Tensor | slice) -> Split:
        """The images and labels at `index`, in that order."""
        labels = None if self.labels is None else self.labels[index]
        return dataclasses.replace(self, pixels=self.pixels[index], labels=labels)

    def to(self, device: torch.device) -> Split:
        """The same split on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        return dataclasses.replace(self, pixels=self.pixels.to(device), labels=labels)


@dataclass(frozen=True)
class ImageData:
    """A data set: three splits of images of one shape, with the settings that load them again.

    Attributes:
        train: the images that the model learns from.
        validation: the images that choose the best model.
        test: the images that the reported metrics are measured on.
        settings: the settings that load the data set again, among them how images are binarised,
            and the names of the classes, which are those of the training images; the data set's
            name is "custom" for images that are passed in from Python.

    Raises:
        DataError: if a split is empty, or images differ in shape or lie outside [0, 1].
    """

    train: Split
    validation: Split
    test: Split
    settings: DataSettings = field(default_factory=lambda: DataSettings(dataset="custom"))

    def __post_init__(self) -> None:
        for name in get_args(SplitName):
            self._check(name)
        if self.settings.class_names != self.train.class_names:
            named = self.settings.model_copy(update={"class_names": self.train.class_names})
            object.__setattr__(self, "settings", named)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    def split(self, name: SplitName) -> Split:
        """The split with this name."""
        split: Split = getattr(self, name)
        return split

    def for_likelihood(self, likelihood: Likelihood) -> ImageData:
        """Set the binarisation that a likelihood needs.

        A Bernoulli likelihood keeps the binarisation of the settings. Every other likelihood takes
        the images as they are, which is "none".

        Raises:
            DataError: if the likelihood is Bernoulli, binarisation is "none", and the images are
                not binary.
        """
        if likelihood != "bernoulli":
            unchanged = self.settings.model_copy(update={"binarization": "none"})
            return dataclasses.replace(self, settings=unchanged)
        if self.settings.binarization == "none":
            for name in get_args(SplitName):
                self._check_binary(name)
        return self

    def for_evaluation(self, name: SplitName) -> Split:
        """A split for evaluation: as it is if binarisation is "none", else binarised once.

        Each pixel becomes 1 with its grey value as the probability. The seed is constant:
        the result depends on the split's name and images alone, on every machine.
        """
        split = self.split(name)
        if self.settings.binarization == "none":
            return split
        # NumPy guarantees that the numbers of this older generator never change.
        rng = np.random.RandomState(_FIXED_SEEDS[name])
        pixels = split.pixels.cpu().numpy()
        binary = np.empty(pixels.shape, dtype=np.uint8)
        for start in range(0, len(pixels), 1_000):
            part = pixels[start : start + 1_000].astype(np.float64) / split.scale
            binary[start : start + 1_000] = rng.random_sample(part.shape) < part
        on_device = torch.from_numpy(binary).to(split.pixels.device)
        return dataclasses.replace(split, pixels=on_device, scale=1.0)

    def for_training(self) -> Split:
        """The training images, already binarised if binarisation is "fixed"."""
        return self.for_evaluation("train") if self.settings.binarization == "fixed" else self.train

    def training_batch(self, split: Split, index: Tensor) -> Tensor:
        """A batch of training images, float32: binarised anew if binarisation is "dynamic"."""
        if self.settings.binarization != "dynamic":
            return split.images(index)
        if runs_compiled(split.pixels):
            return _binarized(split, index)
        return torch.bernoulli(split.images(index))

    def _check_binary(self, name: SplitName) -> None:
        split = self.split(name)
        if not bool(((split.pixels == 0) | (split.pixels == split.scale)).all()):
            raise DataError(
                f"the {name} images are not binary, and a Bernoulli likelihood needs that: choose "
                "dynamic or fixed binarisation"
            )

    def _check(self, name: SplitName) -> None:
        split = self.split(name)
        pixels = split.pixels
        if pixels.dim() != 4 or pixels.numel() == 0:
            raise DataError(
                f"the {name} images have the shape {tuple(pixels.shape)}; (n, C, H, W) with 1 or "
                "more of each is needed"
            )
        if pixels.shape[1:] != self.train.pixels.shape[1:]:
            raise DataError(f"the {name} images differ in shape from the training images")
        if not bool(torch.isfinite(pixels).all() if pixels.is_floating_point() else True):
            raise DataError(f"the {name} images hold values that are not finite")
        if pixels.min() < 0 or pixels.max() > split.scale:
            raise DataError(f"the {name} images hold values outside [0, {split.scale:g}]")


def _binarized(split: Split, index: Tensor) -> Tensor:
    """Binary images on the CPU, by a compiled function that is faster than `torch.bernoulli`."""
    from sxvae.kernels.binarization import binarize

    binary = torch.empty(len(index), *split.pixels.shape[1:])
    seed = fresh_seed()
    pixels = split.pixels.contiguous().flatten(1).numpy()
    binarize(pixels, index.numpy(), split.scale, seed, binary.flatten(1).numpy())
    return binary
