"""What the drawing commands share: codes from options, and files from figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxvae.errors import ConfigError
from sxvae.io.atomic import refuse_existing
from sxvae_cli.console import print_line
from sxvae_cli.sources import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sxvae.io.image_arrays import LabelledImages


def check_picture(out: Path, force: bool) -> None:
    """Refuse a file that can't be the picture, before any work starts.

    Raises:
        ConfigError: if its ending says no format.
        OutputError: if it exists and may not be replaced.
    """
    from sxvae.plotting.style import file_format

    file_format(out)
    refuse_existing(out, force)


def write_picture(figure: Figure, out: Path) -> None:
    """Write the figure and say where.

    Raises:
        OutputError: if it can't be written.
    """
    from sxvae.plotting import save_figure

    save_figure(figure, out)
    print_line(str(out))


def factor_indices(factors: list[int] | None) -> list[int] | None:
    """Indices from 0 of factors counted from 1, each once and in order; None stands for all."""
    return [number - 1 for number in sorted(set(factors))] if factors else None


def starting_codes(
    source: Source, images: LabelledImages | None, n: int, seed: int
) -> NDArray[Any]:
    """The mean codes of the first images, or prior draws where there are no images; (n, ambient).

    Raises:
        NumericalError: if a code is not finite.
    """
    from sxvae.plotting.autoencoder import encode_images

    if images is None:
        return source.autoencoder.sample_prior(n, seed=seed + 1)  # seed draws what replaces them
    return encode_images(source.autoencoder, images.x[:n])[0]


def end_codes(
    source: Source,
    images: LabelledImages | None,
    indices: tuple[int | None, int | None],
    seed: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where an interpolation starts and ends: the codes of two images, a prior draw for None.

    Raises:
        ConfigError: if there is no such image.
        NumericalError: if a code is not finite.
    """
    from sxvae.plotting.autoencoder import encode_images

    draws = source.autoencoder.sample_prior(2, seed=seed)
    ends = []
    for index, draw in zip(indices, draws, strict=True):
        if index is None:
            ends.append(draw)
        elif images is None:
            raise ConfigError(
                f"the bundle {source.path} holds no data set, so there is no image {index}: name a "
                "file of images with --images"
            )
        elif index >= len(images.x):
            raise ConfigError(
                f"there is no image {index}: there are {len(images.x)}, counted from 0"
            )
        else:
            ends.append(encode_images(source.autoencoder, images.x[index : index + 1])[0][0])
    return ends[0], ends[1]
