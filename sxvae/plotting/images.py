"""Pictures made of decoded images."""

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
    chosen_places,
    finite_codes,
    one_code,
    row_name,
    some_codes,
)
from sxvae.plotting.paths import interpolation_path, swapped, turn_path
from sxvae.plotting.tiles import Block, tile_figure

_PAIRS_IN_A_ROW = 10


def samples(
    autoencoder: Autoencoder, n: int = 64, *, columns: int | None = None, seed: int = 0
) -> Figure:
    """Decoded draws from the prior.

    Args:
        autoencoder: the model.
        n: how many.
        columns: images in a row; as many as make the picture about square if None.
        seed: of the draws.

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
    """Originals, and below each the image that its mean code decodes to.

    Args:
        autoencoder: the model.
        x: images in [0, 1], shape (n, C, H, W).

    Raises:
        DataError: if there is no image, they have another shape than the model's, or neither 1 nor
            3 channels.
        NumericalError: if a code or a decoded value is not finite.
    """
    decoded = autoencoder.decode(finite_codes(autoencoder, x)[0])
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
    """From one code to another: a row for each factor that moves alone, and one where all move.

    Spheres are walked along great circles, Euclidean factors along straight lines.

    Args:
        autoencoder: the model.
        start: a latent vector, shape (ambient,).
        end: a latent vector, shape (ambient,).
        steps: images in a row, both ends included.
        long_way: take the longer arc on every sphere; straight lines have no other way.
        factors: the places, from 0, of the factors that have a row; all if None.

    Raises:
        ConfigError: if `steps` is below 2, there is no such factor, or `long_way` is asked for
            where there is no sphere.
        DataError: if a code has another length.
    """
    _at_least(2, steps, "steps")
    start, end = one_code(autoencoder, start), one_code(autoencoder, end)
    if long_way and not any(factor.is_sphere for factor in autoencoder.factors):
        raise ConfigError(
            "there is no long way: this space has no sphere, and straight lines go one way only"
        )
    rows = [
        (row_name(autoencoder.factors, p), [p]) for p in chosen_places(autoencoder.factors, factors)
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


def circle_places(autoencoder: Autoencoder) -> list[int]:
    """The places of the factors that are circles, S^1."""
    return [p for p, f in enumerate(autoencoder.factors) if f.is_sphere and f.dim == 1]


def turn(
    autoencoder: Autoencoder,
    codes: NDArray[Any],
    *,
    steps: int = 12,
    factors: Iterable[int] | None = None,
    seed: int = 0,
) -> Figure:
    """A full turn around a circle factor, the other factors held: a row for each code.

    The angle is that of the point itself, the same in a column for all codes. On a larger sphere,
    if it is asked for, the turn is the great circle from the code through a draw from the prior,
    and the angle is that from the code.

    Args:
        autoencoder: the model.
        codes: latent vectors, shape (n, ambient).
        steps: images in a row, at equal angles.
        factors: the places, from 0, of the spheres to turn; every circle if None.
        seed: of the draws from the prior.

    Raises:
        ConfigError: if `steps` is below 2, there is no such factor, it is no sphere, or there is no
            circle and no factor is named.
        DataError: if the codes have another length.
    """
    _at_least(2, steps, "steps")
    codes = some_codes(autoencoder, codes)
    places = (
        circle_places(autoencoder)
        if factors is None
        else chosen_places(autoencoder.factors, factors)
    )
    if not places:
        raise ConfigError(
            "there is no circle to turn around: this space has no factor S^1; name a larger sphere "
            "to follow one of its great circles"
        )
    for place in places:
        if not autoencoder.factors[place].is_sphere:
            raise ConfigError(f"factor {place + 1} is Euclidean: only spheres can be turned around")
    angles = np.linspace(0, 2 * np.pi, steps, endpoint=False, dtype=np.float32)
    draws = autoencoder.sample_prior(len(codes), seed=seed)
    blocks = []
    for place in places:
        factor = autoencoder.factors[place]
        paths = [turn_path(factor, z, angles, d) for z, d in zip(codes, draws, strict=True)]
        rows = [autoencoder.decode(path) for path in paths]
        blocks.append(Block(rows, (row_name(autoencoder.factors, place),)))
    return tile_figure(blocks, columns=[f"{np.degrees(angle):.0f}°" for angle in angles])


def swap(
    autoencoder: Autoencoder,
    codes: NDArray[Any],
    *,
    draws: int = 8,
    factors: Iterable[int] | None = None,
    seed: int = 0,
) -> Figure:
    """Component swapping: one factor's code is replaced by draws from the prior, the rest kept.

    A block for each factor, in it a row for each code. The first column is the code as it is; in
    each other one the factor has the same drawn code in all rows.

    Args:
        autoencoder: the model.
        codes: latent vectors, shape (n, ambient).
        draws: how many.
        factors: the places, from 0, of the factors to replace; all if None.
        seed: of the draws.

    Raises:
        ConfigError: if `draws` is below 1 or there is no such factor.
        DataError: if the codes have another length.
    """
    _at_least(1, draws, "draws")
    codes = some_codes(autoencoder, codes)
    drawn = autoencoder.sample_prior(draws, seed=seed)
    blocks = []
    for place in chosen_places(autoencoder.factors, factors):
        rows = [
            autoencoder.decode(
                np.concatenate([z[None], swapped(autoencoder.factors[place], z, drawn)])
            )
            for z in codes
        ]
        blocks.append(Block(rows, (f"replaced:\n{row_name(autoencoder.factors, place)}",)))
    return tile_figure(
        blocks, columns=["as it is", *(f"draw {i + 1}" for i in range(draws))], set_apart=1
    )


def _at_least(least: int, value: int, name: str) -> None:
    if value < least:
        raise ConfigError(f"{name}: at least {least} is needed, not {value}")
