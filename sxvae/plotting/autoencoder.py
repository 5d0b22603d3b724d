"""What a picture needs of a model, wherever it comes from: NumPy in, NumPy out."""

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
    """An encoder and a decoder: `sxvae_runtime.Bundle` or sxvae.models' `TorchAutoencoder`."""

    @property
    def factors(self) -> Sequence[Factor]:
        """In the order in which they lie in a latent vector."""

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""

    def encode(self, x: Floats, /) -> tuple[Floats, Floats, Floats | None]:
        """Mean directions (n, ambient), concentrations (n, spheres), scales or None."""

    def decode(self, z: Floats, /) -> Floats:
        """The likelihood's mean (n, C, H, W) for z (n, ambient)."""

    def sample_prior(self, n: int, *, seed: int) -> Floats:
        """Draws from the prior, shape (n, ambient)."""


def symbol(factor: Factor) -> str:
    """As in the literature, for a figure: S^4 or R^5 in mathematical type."""
    return rf"${factor.name[0]}^{{{factor.dim}}}$"


def row_name(factors: Sequence[Factor], place: int) -> str:
    """A factor's name beside a row of images, on two lines; factors are counted from 1."""
    return f"factor {place + 1}\n{symbol(factors[place])}"


def panel_name(factors: Sequence[Factor], place: int) -> str:
    """A factor's name above a panel, with its family."""
    return f"factor {place + 1}: {symbol(factors[place])} ({TITLES[factors[place].family]})"


def chosen_places(factors: Sequence[Factor], places: Iterable[int] | None) -> list[int]:
    """The places of the factors to show: those asked for, all if None.

    Raises:
        ConfigError: if there is no such factor.
    """
    chosen = list(range(len(factors)) if places is None else places)
    for place in chosen:
        if not 0 <= place < len(factors):
            have = "is 1 factor" if len(factors) == 1 else f"are {len(factors)} factors"
            raise ConfigError(f"there is no factor {place + 1}: there {have}, counted from 1")
    return chosen


def finite_codes(autoencoder: Autoencoder, x: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Encode images.

    Raises:
        DataError: if there is none, or their shape is not the model's.
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


def one_code(autoencoder: Autoencoder, z: NDArray[Any]) -> Floats:
    """A latent vector as float32.

    Raises:
        DataError: if it has another length.
    """
    if z.shape != (autoencoder.ambient,):
        raise DataError(f"the code has the shape {z.shape}; ({autoencoder.ambient},) is needed")
    return z.astype(np.float32)


def some_codes(autoencoder: Autoencoder, z: NDArray[Any]) -> Floats:
    """Latent vectors as float32.

    Raises:
        DataError: if there is none or they have another length.
    """
    if z.ndim != 2 or len(z) == 0 or z.shape[1] != autoencoder.ambient:
        raise DataError(f"the codes have the shape {z.shape}; (n, {autoencoder.ambient}) is needed")
    return z.astype(np.float32)
