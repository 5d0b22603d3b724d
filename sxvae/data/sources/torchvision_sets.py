"""MNIST, Fashion-MNIST and KMNIST as torchvision keeps them: 28x28, downloaded on first use."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import torch

from sxvae.config import DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.locations import data_dir
from sxvae.data.sources.idx_files import find_idx, read_idx
from sxvae.errors import DataError, OutputError
from sxvae.io.atomic import write_atomically, writing
from sxvae.io.folders import parents_made

_VALIDATION = 10_000
_CLASSES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
_PARTS = ("train", "t10k")


def load_torchvision_set(settings: DataSettings) -> ImageData:
    """Load one of the three data sets; validation is the last 10,000 images of the training file.

    Files that are there are taken by their content, compressed or not; what is missing is
    downloaded.

    Raises:
        DataError: if the files are damaged, or are missing and can't be downloaded.
    """
    folder = data_dir(settings)
    class_name = _CLASSES[settings.dataset]
    raw = folder / class_name / "raw"
    missing = [name for part in _PARTS for name in _files(part) if find_idx(raw, name) is None]
    if missing:
        _download(folder, class_name, missing)
    training, test = (_read(raw, class_name, part) for part in _PARTS)
    if len(training) <= _VALIDATION:
        raise DataError(
            f"the {class_name} training file under {folder} is damaged: delete it and try again"
        )
    cut = len(training) - _VALIDATION
    return ImageData(training.subset(slice(cut)), training.subset(slice(cut, None)), test, settings)


def _files(part: str) -> tuple[str, str]:
    """The names of the images and the labels of a part."""
    return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


def _read(raw: Path, class_name: str, part: str) -> Split:
    images, labels = (find_idx(raw, name) for name in _files(part))
    assert images is not None
    assert labels is not None
    try:
        pixels, classes = read_idx(images, axes=3), read_idx(labels, axes=1)
    except OSError as error:
        raise DataError(f"{error.filename} can't be read ({error.strerror})") from error
    except DataError as error:
        raise DataError(
            f"the {class_name} files in {raw} are damaged: {error}; delete that file and try again"
        ) from error
    if len(pixels) != len(classes):
        raise DataError(
            f"the {class_name} files in {raw} are damaged: {images.name} has {len(pixels)} images, "
            f"and {labels.name} {len(classes)} labels; delete both and try again"
        )
    return Split(torch.from_numpy(pixels).unsqueeze(1), 255.0, torch.from_numpy(classes).long())


def _download(folder: Path, class_name: str, missing: list[str]) -> None:
    """Let torchvision download the data set, and put the files that are missing into the folder.

    It downloads into a folder of its own, because it would replace files that it does not know.
    """
    import torchvision.datasets

    raw = folder / class_name / "raw"
    load: Any = getattr(torchvision.datasets, class_name)
    try:
        # torchvision prints its progress to stdout and stderr, which only commands write to here.
        silence = io.StringIO()
        with (
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
            tempfile.TemporaryDirectory() as temporary,
        ):
            load(temporary, download=True)
            _keep(Path(temporary) / class_name / "raw", raw, missing)
    except DataError:
        raise
    except (RuntimeError, OSError, AssertionError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(":") or type(error).__name__
        part = f" as a whole ({', '.join(missing)} missing)" if len(missing) < 4 else ""
        raise DataError(
            f"{class_name} is not under {folder}{part} and could not be downloaded ({reason}): "
            f"connect to the network, or put torchvision's files into {raw}, or name the folder "
            "that has them with --data-dir"
        ) from error


def _keep(downloaded: Path, raw: Path, names: list[str]) -> None:
    """Copy downloaded files into the folder of data sets.

    Raises:
        DataError: if they can't be written.
    """
    try:
        with writing(raw), parents_made(raw / names[0]):
            for name in names:
                write_atomically(raw / name, (downloaded / name).read_bytes())
    except OutputError as error:
        raise DataError(f"what was downloaded can't be kept: {error} with --data-dir") from error
