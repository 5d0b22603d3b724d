"""MNIST, Fashion-MNIST and KMNIST through torchvision: 28x28, downloaded on first use."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.locations import data_dir
from sxvae.errors import DataError
from sxvae.io.folders import parents_made

_VALIDATION = 10_000
_CLASSES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
_FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


def load_torchvision_set(settings: DataSettings) -> ImageData:
    """Load one of the three data sets; validation is the last 10,000 images of the training file.

    Raises:
        DataError: if the files are damaged, or are missing and can't be downloaded.
    """
    folder = data_dir(settings)
    class_name = _CLASSES[settings.dataset]
    training, test = (_read(folder, class_name, train) for train in (True, False))
    if len(training) <= _VALIDATION:
        raise DataError(
            f"the {class_name} training file under {folder} is damaged: delete it and try again"
        )
    cut = len(training) - _VALIDATION
    return ImageData(training.subset(slice(cut)), training.subset(slice(cut, None)), test, settings)


def _read(folder: Path, class_name: str, train: bool) -> Split:
    import torchvision.datasets

    raw = folder / class_name / "raw"
    load: Any = getattr(torchvision.datasets, class_name)
    try:
        # torchvision prints its progress to stdout and stderr, which only commands write to here.
        silence = io.StringIO()
        with (
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
            parents_made(raw / "any"),
        ):
            data = load(str(folder), train=train, download=True)
    except (RuntimeError, OSError, AssertionError, LookupError, TypeError, ValueError) as error:
        if all((raw / name).exists() for name in _FILES):
            raise DataError(
                f"the {class_name} files in {raw} are damaged: delete them, try again"
            ) from error
        reason = " ".join(str(error).split()).rstrip(":") or type(error).__name__
        raise DataError(
            f"{class_name} is not under {folder} and could not be downloaded ({reason}): connect "
            f"to the network, or put torchvision's files into {raw}, or name the folder that has "
            "them with --data-dir"
        ) from error
    return Split(data.data.unsqueeze(1), 255.0, data.targets)
