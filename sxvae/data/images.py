"""Data sets in memory: splits of images, scaled to [0, 1] and binarised where that is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sxvae.config import CUSTOM, DataSettings, Likelihood, SplitName
from sxvae.data.own_images import common_classes, labels_of, pixels_of
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.errors import ConfigError, DataError
from sxvae.io.image_arrays import looks_channels_last
from sxvae.randomness import fresh_seed
from sxvae_runtime.inputs import ROUNDING
from sxvae_runtime.text import shown

# Fixed binarisation does not depend on a run's seed, so that metrics of different runs compare.
_SPLITS: tuple[SplitName, ...] = get_args(SplitName)
_FIXED_SEEDS: dict[SplitName, int] = {"train": 1_001, "validation": 1_002, "test": 1_003}


@dataclass(frozen=True, init=False)
class Split:
    """The images and labels of one split.

    Attributes:
        pixels: shape (n, C, H, W), uint8 as stored or float32.
        scale: the pixel value that stands for 1; dividing by it scales the images to [0, 1].
        labels: integer classes, shape (n,), or None.
        class_names: what the classes 0, 1, 2, ... are called; None where they have no names.
    """

    pixels: Tensor
    scale: float
    labels: Tensor | None
    class_names: tuple[str, ...] | None

    def __init__(
        self,
        pixels: Tensor | ArrayLike,
        scale: float | None = None,
        labels: Tensor | ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Take images and labels as people have them.

        Args:
            pixels: shape (n, C, H, W), or (n, H, W) of grey images: a tensor, a NumPy array or
                lists, of any type of numbers. They become uint8 or float32, without gradients.
            scale: the pixel value that stands for 1. None for 1 in floating point, bool and masks
                of 0 and 1, and for the type's largest in uint8 and uint16, which is refused where
                the values do not look like it.
            labels: one for each image: whole numbers or text, shape (n,) or (n, 1), or one-hot.
            class_names: what the classes 0, 1, 2, ... are called; those of labels that are text are
                found.

        Raises:
            DataError: if they are something else.
        """
        tensor, white = pixels_of(pixels, scale)
        classes, names = None, None if class_names is None else tuple(class_names)
        if labels is not None:
            n = len(tensor) if tensor.dim() else 0
            classes, names = labels_of(labels, n, class_names, tensor.device)
        for name, value in (
            *(("pixels", tensor), ("scale", white)),
            *(("labels", classes), ("class_names", names)),
        ):
            object.__setattr__(self, name, value)

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
        remarks: sentences on how the images were read, where that is not obvious.

    Raises:
        DataError: if a split is empty, images differ in shape or lie outside [0, 1], or there is
            something that a run can't keep, such as a class whose name is no text in UTF-8.
    """

    train: Split
    validation: Split
    test: Split
    settings: DataSettings = field(default_factory=lambda: DataSettings(dataset=CUSTOM))
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _SPLITS:
            if not isinstance(self.split(name), Split):
                kind = type(self.split(name)).__name__
                raise DataError(f"the {name} images are a {kind}: wrap them in sxvae.Split")
            object.__setattr__(self, name, self._checked(name))
        self._complete_settings()

    @property
    def _is_custom(self) -> bool:
        """Whether a user handed the images over, and did not say where their channels are."""
        return self.settings.dataset == CUSTOM and self.settings.channels_last is None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width

    def split(self, name: SplitName) -> Split:
        """The split with this name.

        Raises:
            ConfigError: if there is none.
        """
        if not isinstance(name, str) or name not in _SPLITS:
            raise ConfigError(f"{shown(name)} is no split: it is train, validation or test")
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
            for name in _SPLITS:
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

    def _complete_settings(self) -> None:
        """Number the classes of all splits alike, and note what is found in the images."""
        splits = [self.split(name) for name in _SPLITS]
        names, labels = common_classes(
            [split.class_names for split in splits], [split.labels for split in splits]
        )
        for name, split, values in zip(_SPLITS, splits, labels, strict=True):
            if split.class_names != names:
                alike = dataclasses.replace(split, labels=values, class_names=names)
                object.__setattr__(self, name, alike)
        found: dict[str, object] = {"class_names": names}
        scale = self.train.scale
        whole_numbers = scale == int(scale) and not self.train.pixels.is_floating_point()
        # The scale of masks and that of whole bytes need no levels.
        if self.settings.dataset == CUSTOM and whole_numbers and scale not in (1, 255):
            found["levels"] = int(scale) + 1
        try:
            # Checked, for what is found in people's files ends in the files of a run.
            settings = DataSettings(**{**dict(self.settings), **found})
        except ConfigError as error:
            raise DataError(f"the images can't be used: {error}") from error
        object.__setattr__(self, "settings", settings)

    def _checked(self, name: SplitName) -> Split:
        """A split, with what roundings left outside [0, 1] set to 0 and 1."""
        split = self.split(name)
        pixels = split.pixels
        if pixels.dim() != 4 or pixels.numel() == 0:
            raise DataError(
                f"the {name} images have the shape {tuple(pixels.shape)}; (n, C, H, W) with 1 or "
                "more of each is needed"
            )
        if pixels.shape[1:] != self.train.pixels.shape[1:]:
            raise DataError(f"the {name} images differ in shape from the training images")
        if self._is_custom and looks_channels_last(tuple(pixels.shape)):
            raise DataError(
                f"the {name} images have the shape {tuple(pixels.shape)}, with the channels last "
                "as it seems: move them with pixels.permute(0, 3, 1, 2), or say that they come "
                'first with settings=DataSettings(dataset="custom", channels_last=False)'
            )
        if not bool(torch.isfinite(pixels).all() if pixels.is_floating_point() else True):
            raise DataError(f"the {name} images hold values that are not finite")
        least, largest = pixels.min().item(), pixels.max().item()
        rounding = ROUNDING * split.scale if pixels.is_floating_point() else 0
        if least < -rounding or largest > split.scale + rounding:
            raise DataError(
                f"the {name} images hold values from {least:.8g} to {largest:.8g}, outside "
                f"[0, {split.scale:g}]: say which value stands for 1 with Split(pixels, scale=...)"
            )
        if least < 0 or largest > split.scale:
            return dataclasses.replace(split, pixels=pixels.clamp(0, split.scale))
        return split


def _binarized(split: Split, index: Tensor) -> Tensor:
    """Binary images on the CPU, by a compiled function that is faster than `torch.bernoulli`."""
    from sxvae.kernels.binarization import binarize

    binary = torch.empty(len(index), *split.pixels.shape[1:])
    seed = fresh_seed()
    pixels = split.pixels.contiguous().flatten(1).numpy()
    binarize(pixels, index.numpy(), split.scale, seed, binary.flatten(1).numpy())
    return binary
