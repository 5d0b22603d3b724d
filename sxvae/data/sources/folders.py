"""A user's own images for training, as image files in a folder; subfolders are classes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from sxvae.data.images import Split
from sxvae.data.sources.folder_listing import list_pictures
from sxvae.data.sources.folder_remarks import Oddities, remarks_on
from sxvae.data.sources.picture_stack import PictureStack
from sxvae.data.sources.pictures import read_picture, size_of
from sxvae.data.sources.splitting import Loaded
from sxvae.errors import DataError

# A picture of one colour has up to a thousand pixels for each byte of its file, so that a few small
# files can keep a computer busy for hours. The pictures of a folder have together at most so many
# pixels, or so many for each byte of their files if that is more.
MOST_PIXELS = 1_000_000_000
MOST_PIXELS_A_BYTE = 256

_T = TypeVar("_T")


def load_folder(
    path: Path, image_size: tuple[int, int] | None, levels: int | None = None
) -> Loaded:
    """Load the images under a folder. All become RGB if any image is in colour.

    What was read, left out, or not kept whole is among the remarks.

    Args:
        path: a folder of image files, or of one subfolder of image files for each class, or of such
            folders for the splits. Labels number the classes from 0 in the order of their names.
        image_size: (H, W) that each image is resized to; None keeps the size.
        levels: the number of levels from black to white; None for 256, or 65,536 if an image has
            16 bits.

    Raises:
        DataError: if there is no image, one can't be read, they differ in size or are too large, or
            it is doubtful which value is white.
        OSError: if a folder can't be read.
    """
    listing = list_pictures(path)
    _refuse_too_many_pixels(path, listing.files)
    oddities = Oddities()
    stack = PictureStack(path, len(listing.files))
    for file, picture in _of_each(listing.files, lambda file: read_picture(file, image_size)):
        oddities.note(file, picture)
        stack.add(file, picture)
    pixels, scale = stack.scaled(levels)
    labels = None if listing.labels is None else torch.tensor(listing.labels)
    whole = Split(torch.from_numpy(pixels), scale, labels, listing.class_names)
    ends = list(itertools.accumulate(listing.splits.values(), initial=0))
    splits = {
        name: whole.subset(slice(*part))
        for name, part in zip(listing.splits, itertools.pairwise(ends), strict=True)
    }
    return Loaded(splits, remarks_on(path, listing, oddities))


def _of_each(files: list[Path], read: Callable[[Path], _T]) -> Iterator[tuple[Path, _T]]:
    """Each file with what is read from it.

    Raises:
        DataError: if a file can't be read, after it was tried with all; the sentence is about the
            first, and says how many others there are.
    """
    errors: list[DataError] = []
    for file in files:
        try:
            result = read(file)
        except DataError as error:
            errors.append(error)
            continue
        if not errors:
            yield file, result
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DataError(f"{errors[0]}; {len(errors) - 1} more can't be read either") from errors[0]


def _refuse_too_many_pixels(path: Path, files: list[Path]) -> None:
    """Refuse pictures, by their headers, that it would take too long to decode."""
    pixels = size = 0
    for file, (height, width) in _of_each(files, size_of):
        pixels += height * width
        size += file.stat().st_size
    most = max(MOST_PIXELS, MOST_PIXELS_A_BYTE * size)
    if pixels > most:
        raise DataError(
            f"the images in {path} have {pixels / 1e6:,.0f} megapixels together, and at most "
            f"{most / 1e6:,.0f} are read from files of {size / 1e6:,.1f} MB: make them smaller"
        )
