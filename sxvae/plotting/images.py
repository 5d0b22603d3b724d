"""Pictures that show decoded images: samples, reconstructions, interpolations, turns and swaps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sxvae.errors import ConfigError
from sxvae.plotting.autoencoder import (
    Autoencoder,
    Floats,
    checked_code,
    checked_codes,
    chosen_indices,
    encode_images,
    row_name,
)
from sxvae.plotting.paths import interpolation_path, swapped, turn_path
from sxvae.plotting.tiles import Block, tile_figure

_PAIRS_IN_A_ROW = 10


def samples(
    autoencoder: Autoencoder, n: int = 64, *, columns: int | None = None, seed: int = 0
) -> Figure:
    """Draw decoded samples from the prior.

    Args:
        autoencoder: the model.
        n: the number of samples.
        columns: images in a row; None chooses about as many columns as rows.
        seed: random seed of the samples.

    Raises:
        ConfigError: if `n` is below 1.
        DataError: if the model's images have neither 1 nor 3 channels.
    """
    _at_least(1, n, "n")
    columns = min(n, columns or int(np.ceil(np.sqrt(n))))
    decoded = autoencoder.decode(autoencoder.sample_prior(n, seed=seed))
    rows = [decoded[start : start + columns] for start in range(0, n, columns)]
    return tile_figure([Block(rows)])


def reconstructions(autoencoder: Autoencoder, x: Floats) -> Figure:
    """Draw images, and below each the image that its mean code decodes to.

    Args:
        autoencoder: the model.
        x: images in [0, 1], shape (n, C, H, W).

    Raises:
        DataError: if there is no image, or their shape is not the model's, or they have neither 1
            nor 3 channels.
        NumericalError: if a code or a decoded value is not finite.
    """
    decoded = autoencoder.decode(encode_images(autoencoder, x)[0])
    pairs = np.stack([x, decoded])
    return tile_figure(
        [
            Block(list(pairs[:, start : start + _PAIRS_IN_A_ROW]), ("original", "reconstruction"))
            for start in range(0, len(x), _PAIRS_IN_A_ROW)
        ]
    )


def interpolation(
    autoencoder: Autoencoder,
    start: NDArray[Any],
    end: NDArray[Any],
    *,
    steps: int = 10,
    long_way: bool = False,
    factors: Iterable[int] | None = None,
) -> Figure:
    """Draw the way from one code to another: a row for each factor alone, and one for all together.

    Codes move along great circles on spheres and along straight lines in Euclidean factors.

    Args:
        autoencoder: the model.
        start: a latent vector, shape (ambient,).
        end: a latent vector, shape (ambient,).
        steps: images in a row, both ends included.
        long_way: take the longer arc on every sphere.
        factors: the indices, from 0, of the factors that have a row; all if None.

    Raises:
        ConfigError: if `steps` is below 2, there is no such factor, or `long_way` is asked for
            where there is no sphere.
        DataError: if a code has another shape.
    """
    _at_least(2, steps, "steps")
    start, end = checked_code(autoencoder, start), checked_code(autoencoder, end)
    if long_way and not any(factor.is_sphere for factor in autoencoder.factors):
        raise ConfigError(
            "there is no long way: this space has no sphere, and straight lines go one way only"
        )
    rows = [
        (row_name(autoencoder.factors, i), [i])
        for i in chosen_indices(autoencoder.factors, factors)
    ]
    if len(autoencoder.factors) > 1 and factors is None:
        rows.append(("all factors", list(range(len(autoencoder.factors)))))
    blocks = []
    for label, moving in rows:
        path = interpolation_path(
            autoencoder.factors, start, end, steps, moving=moving, long_way=long_way
        )
        blocks.append(Block([autoencoder.decode(path)], (label,)))
    labels = ["start", *[""] * (steps - 2), "end"]
    return tile_figure(blocks, columns=labels)


def circle_indices(autoencoder: Autoencoder) -> list[int]:
    """The indices of the factors that are circles, S^1."""
    return [i for i, f in enumerate(autoencoder.factors) if f.is_sphere and f.dim == 1]


def turn(
    autoencoder: Autoencoder,
    codes: NDArray[Any],
    *,
    steps: int = 12,
    factors: Iterable[int] | None = None,
    seed: int = 0,
) -> Figure:
    """Draw a full turn around each circle factor, a row for each code; other factors stay fixed.

    On a circle all rows have the same angle in a column: that of the point itself. On a larger
    sphere, if one is asked for, the turn follows the great circle from the code through a draw from
    the prior, and angles are measured from the code.

    Args:
        autoencoder: the model.
        codes: latent vectors, shape (n, ambient).
        steps: images in a row, at equal angles.
        factors: the indices, from 0, of the spheres to turn; every circle if None.
        seed: random seed of the draws from the prior.

    Raises:
        ConfigError: if `steps` is below 2, a factor does not exist or is no sphere, or there is no
            circle and no factor is named.
        DataError: if the codes have another shape.
    """
    _at_least(2, steps, "steps")
    codes = checked_codes(autoencoder, codes)
    indices = (
        circle_indices(autoencoder)
        if factors is None
        else chosen_indices(autoencoder.factors, factors)
    )
    if not indices:
        raise ConfigError(
            "there is no circle to turn around: this space has no factor S^1; name a larger sphere "
            "to follow one of its great circles"
        )
    for index in indices:
        if not autoencoder.factors[index].is_sphere:
            raise ConfigError(f"factor {index + 1} is Euclidean: only spheres can be turned around")
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False, dtype=np.float32)
    draws = autoencoder.sample_prior(len(codes), seed=seed)
    blocks = []
    for index in indices:
        factor = autoencoder.factors[index]
        paths = [turn_path(factor, z, angles, d) for z, d in zip(codes, draws, strict=True)]
        rows = [autoencoder.decode(path) for path in paths]
        blocks.append(Block(rows, (row_name(autoencoder.factors, index),)))
    return tile_figure(blocks, columns=[f"{np.degrees(angle):.0f}°" for angle in angles])


def swap(
    autoencoder: Autoencoder,
    codes: NDArray[Any],
    *,
    draws: int = 8,
    factors: Iterable[int] | None = None,
    seed: int = 0,
) -> Figure:
    """Replace one factor's code by draws from the prior, and keep the others (component swapping).

    Each factor has a block, and each code a row in it. The first column shows the code as it is. In
    every other column the factor has the same drawn code in all rows.

    Args:
        autoencoder: the model.
        codes: latent vectors, shape (n, ambient).
        draws: the number of draws, a column each.
        factors: the indices, from 0, of the factors to replace; all if None.
        seed: random seed of the draws.

    Raises:
        ConfigError: if `draws` is below 1 or there is no such factor.
        DataError: if the codes have another shape.
    """
    _at_least(1, draws, "draws")
    codes = checked_codes(autoencoder, codes)
    drawn = autoencoder.sample_prior(draws, seed=seed)
    blocks = []
    for index in chosen_indices(autoencoder.factors, factors):
        rows = [
            autoencoder.decode(
                np.concatenate([z[None], swapped(autoencoder.factors[index], z, drawn)])
            )
            for z in codes
        ]
        blocks.append(Block(rows, (f"replaced:\n{row_name(autoencoder.factors, index)}",)))
    return tile_figure(
        blocks, columns=["as it is", *(f"draw {i + 1}" for i in range(draws))], set_apart=1
    )


def _at_least(least: int, value: int, name: str) -> None:
    if value < least:
        raise ConfigError(f"{name}: at least {least} is needed, not {value}")
