"""A user's own images at a path: loaded, hashed and divided into splits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sxvae.config import ARRAY_SUFFIXES, DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.sources.arrays import load_arrays
from sxvae.data.sources.folders import load_folder
from sxvae.data.sources.splitting import MIN_IMAGES, partition
from sxvae.errors import ConfigError, DataError


def is_path(dataset: str) -> bool:
    """Whether the name of a data set is meant as a path.

    It is a path if it has a path separator or the suffix of an array file, or if it is an existing
    folder. The names of the registry are looked up before.
    """
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if any(separator in dataset for separator in separators):
        return True
    if Path(dataset).suffix.lower() in ARRAY_SUFFIXES:
        return True
    try:
        return dataset != "" and Path(dataset).is_dir()
    except OSError:  # too long for a file's name, for example
        return False


def load_path(settings: DataSettings) -> ImageData:
    """Load the images at the path `settings.dataset`, divided 80/10/10 by `split_seed`.

    The returned data set's settings have the absolute path and the hash of the content.

    Raises:
        ConfigError: if a setting does not apply to this kind of file or folder.
        DataError: if there is nothing at the path, or it can't be read as images.
    """
    path = Path(settings.dataset).absolute()
    if settings.data_dir is not None:
        raise ConfigError(
            f"it is for data sets with a name, and {path} says where it is", setting="data_dir"
        )
    try:
        whole = _load(path, settings)
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror})") from error
    if len(whole) < MIN_IMAGES:
        raise DataError(
            f"{path} holds {len(whole)} images, and at least {MIN_IMAGES} are needed for a split "
            "into train, validation and test"
        )
    found = {"dataset": str(path), "content_sha256": _digest(whole)}
    parts = partition(len(whole), settings.split_seed)
    train, validation, test = (whole.subset(part) for part in parts)
    return ImageData(train, validation, test, settings.model_copy(update=found))


def _load(path: Path, settings: DataSettings) -> Split:
    if path.is_dir():
        if settings.channels_last:
            raise ConfigError(
                f"{path} is a folder of images, and has no such axis", setting="channels_last"
            )
        return load_folder(path, settings.image_size)
    if not path.exists():
        raise DataError(f"there is nothing at {path}: name a file of images or a folder of them")
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise DataError(
            f"{path} is none of what images are read from: {', '.join(ARRAY_SUFFIXES)}, or a "
            "folder of image files"
        )
    if settings.image_size is not None:
        raise ConfigError(
            f"only image files in a folder are resized, and {path} is an array",
            setting="image_size",
        )
    return load_arrays(path, bool(settings.channels_last))


def _digest(whole: Split) -> str:
    """SHA-256 of the pixels and labels as loaded, which does not depend on the file's format."""
    digest = hashlib.sha256()
    for tensor in (whole.pixels, whole.labels):
        if tensor is not None:
            array = tensor.numpy()
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{array.dtype.str} {array.shape} {whole.scale};".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
