"""A user's own images for training, as image files in a folder; subfolders are classes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sxvae.data.images import Split
from sxvae.errors import DataError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_SIXTEEN_BITS = 65_535


def load_folder(path: Path, image_size: tuple[int, int] | None) -> Split:
    """Load the images under a folder, sorted by name. All become RGB if any image is in colour.

    Args:
        path: a folder of image files, or of one subfolder of image files for each class. Labels
            number the subfolders from 0 in the order of their names. Hidden files and files of
            other types are left out.
        image_size: (H, W) that each image is resized to; None keeps the size.

    Raises:
        DataError: if there is no image, one can't be read, or they differ in size.
    """
    files, labels = _listed(path)
    images = [_read(file, image_size) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise DataError(
                f"the images in {path} differ in size, as {_described(files[0], images[0])} and "
                f"{_described(file, image)} do: resize them with --image-size"
            )
    in_colour = any(image.ndim == 3 for image in images)
    pixels = np.stack([_with_channels(image, in_colour) for image in images])
    return Split(torch.from_numpy(pixels), 255.0, None if labels is None else torch.tensor(labels))


def _listed(path: Path) -> tuple[list[Path], list[int] | None]:
    """The image files, and the label of each if there are subfolders."""
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    subfolders = [entry for entry in entries if entry.is_dir()]
    files = _images_among(entries)
    if not subfolders:
        if not files:
            raise DataError(_none_in(path))
        return files, None
    if files:
        raise DataError(
            f"{path} holds images beside subfolders: put all of them into subfolders, which "
            "are their labels, or none"
        )
    inside = [_images_among(sorted(folder.iterdir())) for folder in subfolders]
    for folder, found in zip(subfolders, inside, strict=True):
        if not found:
            raise DataError(_none_in(folder))
    labels = [label for label, found in enumerate(inside) for _ in found]
    return [file for found in inside for file in found], labels


def _images_among(entries: list[Path]) -> list[Path]:
    return [
        entry
        for entry in entries
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]


def _none_in(folder: Path) -> str:
    return f"the folder {folder} holds no images ({', '.join(sorted(SUFFIXES))})"


def _read(file: Path, image_size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Read an image: shape (H, W) if it is grey, (H, W, 3) if it is in colour."""
    image = _plain(_opened(file), file)
    if image_size is not None:
        height, width = image_size
        # Where an image shrinks, Pillow widens this filter, so that every pixel counts.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image)


def _opened(file: Path) -> Image.Image:
    """Open an image: its first frame, rotated as the EXIF data says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # irregular files that Pillow can read anyway
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as image:
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"the image {file} is too large: make it smaller") from error
    except OSError as error:
        reason = error.strerror or "it is damaged, or no image"
        raise DataError(f"the image {file} can't be read ({reason})") from error
    except (SyntaxError, ValueError, LookupError, TypeError, EOFError, OverflowError) as error:
        raise DataError(f"the image {file} can't be read (it is damaged)") from error


def _plain(image: Image.Image, file: Path) -> Image.Image:
    """Convert an image to grey or RGB with 8 bits a channel; what is transparent becomes white."""
    if image.mode == "F":
        raise DataError(f"the image {file} has floating-point pixels: keep them in a .npy file")
    if image.mode.startswith("I"):
        return _eight_bits(np.asarray(image), file)
    is_grey = image.mode in ("1", "L", "LA", "La")
    has_palette = image.mode in ("P", "PA")
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if has_palette:  # some programs store grey images with a palette
        channels = np.asarray(image)
        is_grey = bool((channels == channels[..., :1]).all())
    return image.convert("L") if is_grey else image


def _eight_bits(values: NDArray[Any], file: Path) -> Image.Image:
    """Scale a grey image of 16 bits to 8; Pillow itself would clip it at 255."""
    if values.min() < 0 or values.max() > _SIXTEEN_BITS:
        raise DataError(f"the image {file} has more than 16 bits a pixel: make them 8 or 16")
    return Image.fromarray(np.round(values / (_SIXTEEN_BITS / 255)).astype(np.uint8))


def _with_channels(image: NDArray[np.uint8], in_colour: bool) -> NDArray[np.uint8]:
    """The image with a channel axis, shape (C, H, W); grey is repeated if others are in colour."""
    if image.ndim == 3:
        return np.moveaxis(image, -1, 0)
    return np.repeat(image[np.newaxis], 3 if in_colour else 1, axis=0)


def _described(file: Path, image: NDArray[np.uint8]) -> str:
    height, width = image.shape[:2]
    return f"{file.name} ({height}x{width})"
