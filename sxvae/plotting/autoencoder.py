"""The interface that pictures need of a model, whether it comes from a checkpoint or a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import ConfigError, DataError, NumericalError
from sxvae_runtime.factors import Factor
from sxvae_runtime.families import TITLES

Floats = NDArray[np.float32]


class Autoencoder(Protocol):
    """An encoder and a decoder that take and give NumPy arrays.

    `sxvae_runtime.Bundle` and `sxvae.models.autoencoder.TorchAutoencoder` have these methods.
    """

    @property
    def factors(self) -> Sequence[Factor]:
        """The factors, in the order in which they lie in a latent vector."""

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of an image."""

    def encode(self, x: Floats, /) -> tuple[Floats, Floats, Floats | None]:
        """Mean directions (n, ambient), concentrations (n, spheres), scales or None."""

    def decode(self, z: Floats, /) -> Floats:
        """The likelihood's mean (n, C, H, W) for z (n, ambient)."""

    def sample_prior(self, n: int, *, seed: int) -> Floats:
        """Draws from the prior, shape (n, ambient)."""


def symbol(factor: Factor) -> str:
    """A factor's manifold in matplotlib's mathematical notation: S^4 or R^5 with a superscript."""
    return rf"${factor.name[0]}^{{{factor.dim}}}$"


def row_name(factors: Sequence[Factor], index: int) -> str:
    """A factor's label beside a row of images, on two lines. Labels count factors from 1."""
    return f"factor {index + 1}\n{symbol(factors[index])}"


def panel_name(factors: Sequence[Factor], index: int) -> str:
    """A factor's title above a panel: number from 1, manifold and family."""
    return f"factor {index + 1}: {symbol(factors[index])} ({TITLES[factors[index].family]})"


def chosen_indices(factors: Sequence[Factor], indices: Iterable[int] | None) -> list[int]:
    """The indices, from 0, of the factors to show: the given ones, or all if None.

    Raises:
        ConfigError: if there is no such factor.
    """
    chosen = list(range(len(factors)) if indices is None else indices)
    for index in chosen:
        if not 0 <= index < len(factors):
            have = "is 1 factor" if len(factors) == 1 else f"are {len(factors)} factors"
            raise ConfigError(f"there is no factor {index + 1}: there {have}, counted from 1")
    return chosen


def encode_images(autoencoder: Autoencoder, x: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Encode images, and refuse codes that are not finite.

    Args:
        autoencoder: the model.
        x: values in [0, 1], shape (n, C, H, W).

    Returns:
        Mean directions (n, ambient), concentrations (n, spheres), and scales or None.

    Raises:
        DataError: if there is no image, or the shape is not the model's.
        NumericalError: if a code is not finite.
    """
    if len(x) == 0 or x.shape[1:] != tuple(autoencoder.input_shape):
        needed = ", ".join(map(str, autoencoder.input_shape))
        raise DataError(f"the images have the shape {x.shape}; (n, {needed}) is needed")
    codes = autoencoder.encode(x)
    if not all(part is None or np.isfinite(part).all() for part in codes):
        raise NumericalError(
            "the encoder gives values that are not finite: the model's weights have diverged"
        )
    return codes


def checked_code(autoencoder: Autoencoder, z: NDArray[Any]) -> Floats:
    """Check one latent vector, shape (ambient,), and return it as float32.

    Raises:
        DataError: if it has another shape.
    """
    if z.shape != (autoencoder.ambient,):
        raise DataError(f"the code has the shape {z.shape}; ({autoencoder.ambient},) is needed")
    return z.astype(np.float32)


def checked_codes(autoencoder: Autoencoder, z: NDArray[Any]) -> Floats:
    """Check latent vectors, shape (n, ambient), and return them as float32.

    Raises:
        DataError: if there is none, or they have another shape.
    """
    if z.ndim != 2 or len(z) == 0 or z.shape[1] != autoencoder.ambient:
        raise DataError(f"the codes have the shape {z.shape}; (n, {autoencoder.ambient}) is needed")
    return z.astype(np.float32)
