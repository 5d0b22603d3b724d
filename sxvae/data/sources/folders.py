"""A user's own images as files in a folder; subfolders are labels."""

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
    """The images under a folder, in the order of their names; colour if any of them is.

    Args:
        path: a folder of image files, or of subfolders of image files, whose places in the order of
            their names are the labels. Hidden files and those that are no images are left out.
        image_size: (H, W) that each is resized to; None to take them as they are.

    Raises:
        DataError: if there are none, one can't be read, or they differ in size.
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
    """The files, and each one's label if there are subfolders."""
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
    """Shape (H, W) if grey, (H, W, 3) if in colour."""
    image = _plain(_opened(file), file)
    if image_size is not None:
        height, width = image_size
        # Pillow widens this filter where it makes an image smaller, so nothing is skipped over.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image)


def _opened(file: Path) -> Image.Image:
    """The first frame, turned as its camera says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a file that can be read all the same
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
    """Grey or RGB of 8 bits a channel, on white where it is transparent."""
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
    if has_palette:  # programs that make files small write grey images so
        channels = np.asarray(image)
        is_grey = bool((channels == channels[..., :1]).all())
    return image.convert("L") if is_grey else image


def _eight_bits(values: NDArray[Any], file: Path) -> Image.Image:
    """A grey image of 16 bits, which Pillow itself would clip at 255."""
    if values.min() < 0 or values.max() > _SIXTEEN_BITS:
        raise DataError(f"the image {file} has more than 16 bits a pixel: make them 8 or 16")
    return Image.fromarray(np.round(values / (_SIXTEEN_BITS / 255)).astype(np.uint8))


def _with_channels(image: NDArray[np.uint8], in_colour: bool) -> NDArray[np.uint8]:
    """Shape (C, H, W)."""
    if image.ndim == 3:
        return np.moveaxis(image, -1, 0)
    return np.repeat(image[np.newaxis], 3 if in_colour else 1, axis=0)


def _described(file: Path, image: NDArray[np.uint8]) -> str:
    height, width = image.shape[:2]
    return f"{file.name} ({height}x{width})"
