"""sxvae-runtime sample, and what `sxvae sample` does with a bundle or a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sxvae_runtime.command_line import options
from sxvae_runtime.command_line.console import print_line
from sxvae_runtime.command_line.extra import require
from sxvae_runtime.errors import SettingError
from sxvae_runtime.files.whole import refuse_existing, write_file, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decoder(Protocol):
    """A model that draws latent vectors and decodes them, such as a bundle."""

    def sample_prior(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """Draws from the prior, shape (n, ambient)."""

    def decode(self, z: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Their images, shape (n, C, H, W)."""


def sample(
    bundle: options.Bundle,
    n: options.Count = 64,
    out: options.Png = Path("samples.png"),
    seed: options.PriorSeed = 0,
    force: options.ReplaceFile = False,
    debug: options.Debug = False,
) -> None:
    """Decode draws from the prior into one plain picture."""
    check_output(out, force)
    import sxvae_runtime

    write_samples(sxvae_runtime.load(bundle), n, seed, out)


def check_output(out: Path, force: bool) -> None:
    """Refuse a file that can't be the picture, before any work starts.

    Raises:
        SettingError: if it is not named .png.
        OutputError: if it exists and may not be replaced.
        MissingPackageError: if pillow is not installed.
    """
    require("drawing", "PIL")
    refuse_existing(out, force)
    if out.suffix.lower() != ".png":
        raise SettingError(
            f"{out}: a plain picture is a .png; sxvae plot samples has other formats"
        )


def write_samples(model: Decoder, n: int, seed: int, out: Path) -> None:
    """Draw from the prior, decode, write the picture, and print where.

    Raises:
        InputError: if a decoded value is not finite.
        OutputError: if the picture can't be written.
    """
    from sxvae_runtime.pictures import image_grid, png_bytes

    images = model.decode(model.sample_prior(n, seed=seed))
    content = png_bytes(image_grid(images))
    with writing(out):
        write_file(out, content)
    print_line(str(out))
