"""A user's own images at a path: loaded, hashed and divided into splits."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sxvae.config import ARRAY_SUFFIXES, DataSettings
from sxvae.data.images import ImageData, Split
from sxvae.data.sources.arrays import load_arrays
from sxvae.data.sources.folders import load_folder
from sxvae.data.sources.splitting import Loaded, completed
from sxvae.errors import ConfigError, DataError
from sxvae.io.foreign_files import description, refusal
from sxvae_runtime.regular_files import UnfitFileError, refuse_irregular

_OF_ARRAYS = ("channels_last", "images_key", "labels_key")


def is_path(dataset: str) -> bool:
    """Whether the name of a data set is meant as a path.

    It is a path if it has a path separator or the suffix of a file of data, or if there is a file
    or folder of that name. The names of the registry are looked up before.
    """
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    if any(separator in dataset for separator in separators):
        return True
    path = Path(dataset)
    if path.suffix.lower() in ARRAY_SUFFIXES or description(path) is not None:
        return True
    try:
        return dataset != "" and path.exists()
    except (OSError, ValueError):  # too long for a file's name, for example
        return False


def load_path(settings: DataSettings) -> ImageData:
    """Load the images at the path `settings.dataset`; what is not divided is, by `split_seed`.

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
        loaded = _load(path, settings)
    except OSError as error:
        place = error.filename or path
        raise DataError(f"{place} can't be read ({error.strerror})") from error
    splits = completed(loaded, settings.split_seed, path)
    found = {"dataset": str(path), "content_sha256": _digest(loaded)}
    return ImageData(
        splits["train"],
        splits["validation"],
        splits["test"],
        settings.model_copy(update=found),
        loaded.remarks,
    )


def _load(path: Path, settings: DataSettings) -> Loaded:
    if path.is_dir():
        for name in _OF_ARRAYS:
            if getattr(settings, name) not in (None, False):
                raise ConfigError(
                    f"it is for a file of arrays, and {path} is a folder of images", setting=name
                )
        return load_folder(path, settings.image_size, settings.levels)
    if not path.exists():
        raise DataError(f"there is nothing at {path}: name a file of images or a folder of them")
    try:
        refuse_irregular(path)
    except UnfitFileError as error:
        raise DataError(f"{path} {error}: save its content as a file, and name that") from None
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        raise DataError(refusal(path))
    if settings.image_size is not None:
        raise ConfigError(
            f"only image files in a folder are resized, and {path} is an array",
            setting="image_size",
        )
    return load_arrays(path, settings)


def _digest(loaded: Loaded) -> str:
    """SHA-256 of the pixels and labels as loaded, which does not depend on the file's format."""
    digest = hashlib.sha256()
    for name, split in loaded.splits.items():
        if len(loaded.splits) > 1:
            digest.update(f"{name};".encode())
        _add_split(digest, split)
    return digest.hexdigest()


def _add_split(digest: hashlib._Hash, split: Split) -> None:
    for tensor in (split.pixels, split.labels):
        if tensor is not None:
            array = tensor.numpy()
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{array.dtype.str} {array.shape} {split.scale};".encode())
            digest.update(array.tobytes())
