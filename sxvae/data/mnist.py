"""MNIST through torchvision: 28x28, downloaded on first use."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.errors import DataError
from sxvae.files import parents_made

_VALIDATION = 10_000
_FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


def default_data_dir() -> Path:
    """`SXVAE_DATA_DIR` from the environment, else the user's cache folder."""
    named = os.environ.get("SXVAE_DATA_DIR")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "sxvae"


def load_mnist(settings: DataSettings) -> ImageData:
    """Load MNIST; validation is the last 10,000 images of the training file.

    Raises:
        DataError: if the files are neither there nor to be downloaded, or damaged.
    """
    folder = Path(settings.data_dir) if settings.data_dir else default_data_dir()
    training, test = _read(folder, train=True), _read(folder, train=False)
    if len(training) <= _VALIDATION:
        raise DataError(
            f"the MNIST training file under {folder} is damaged: delete it and try again"
        )
    cut = len(training) - _VALIDATION
    return ImageData(_part(training, 0, cut), _part(training, cut, None), test, settings)


def _part(split: Split, start: int, stop: int | None) -> Split:
    labels = None if split.labels is None else split.labels[start:stop]
    return Split(split.pixels[start:stop], split.scale, labels)


def _read(folder: Path, train: bool) -> Split:
    from torchvision.datasets import MNIST

    raw = folder / "MNIST" / "raw"
    try:
        # torchvision reports its downloads on both streams: results and remarks are ours to give.
        silence = io.StringIO()
        with (
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
            parents_made(raw / "any"),
        ):
            data = MNIST(str(folder), train=train, download=True)
    except (RuntimeError, OSError, AssertionError, LookupError, TypeError, ValueError) as error:
        if all((raw / name).exists() for name in _FILES):
            raise DataError(
                f"the MNIST files in {raw} are damaged: delete them, try again"
            ) from error
        reason = " ".join(str(error).split()).rstrip(":") or type(error).__name__
        raise DataError(
            f"MNIST is not under {folder} and could not be downloaded ({reason}): connect to the "
            f"network, or put torchvision's files into {raw}, or name the folder that has them "
            "with --data-dir"
        ) from error
    return Split(data.data.unsqueeze(1), 255.0, data.targets)
