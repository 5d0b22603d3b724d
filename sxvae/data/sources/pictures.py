"""One picture in a file, decoded as a viewer shows it: grey or RGB, upright, on white."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from sxvae.errors import DataError

# What Pillow opens beside pictures: programs for printers (which it would run), tables of
# measurements, films, and icons in several sizes.
_NO_PICTURES = frozenset(
    {"BUFR", "CUR", "EPS", "FITS", "FLI", "GRIB", "HDF5", "ICNS", "ICO", "IPTC", "MPEG", "WMF"}
)
# EXIF's orientation, and what undoes it.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BITS = 65_535
_WHITE_IS_ZERO = 0
# How files say that channels have 16 bits; Pillow keeps them of grey pictures only.
_REDUCED = (";16B", ";16L", ";16N", ";16")


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        values: uint8, or uint16 of a grey picture with 16 bits; shape (H, W), or (H, W, 3) if it is
            in colour.
        largest: the largest value before the picture was resized.
        is_first_of_several: whether the file holds further pictures.
        is_reduced: whether the file has 16 bits a channel, of which 8 are kept.
    """

    values: NDArray[Any]
    largest: int
    is_first_of_several: bool
    is_reduced: bool


@functools.cache
def suffixes() -> dict[str, str]:
    """The suffixes of pictures that Pillow reads, in small letters with the dot: their formats."""
    return {
        suffix: kind
        for suffix, kind in sorted(Image.registered_extensions().items())
        if kind in Image.OPEN and kind not in _NO_PICTURES
    }


@functools.cache
def _formats(suffix: str) -> tuple[str, ...]:
    """The formats to try, that of the suffix first."""
    first = suffixes().get(suffix)
    others = sorted(set(suffixes().values()) - {first})
    return tuple(others) if first is None else (first, *others)


def size_of(file: Path) -> tuple[int, int]:
    """A picture's (height, width) as stored, from its header alone.

    Raises:
        DataError: if it can't be read, or has more pixels than Pillow's limit for one picture.
    """
    with _opened(file) as image:
        return image.height, image.width


def read_picture(file: Path, image_size: tuple[int, int] | None) -> Picture:
    """Decode a picture; of several in a file, the first.

    Args:
        file: its path. The content says the format; the suffix need not.
        image_size: (H, W) that it is resized to; None keeps its size.

    Raises:
        DataError: if it can't be read, or its pixels have no scale from black to white.
    """
    with _opened(file) as image:
        is_reduced = _is_reduced(image)
        is_grey = image.mode in ("1", "L", "LA", "La") or _raw_mode(image).startswith("LA;")
        is_first = image.format != "MPO" and bool(getattr(image, "is_animated", False))
        black = _black_of_deep_tiff(image)
        image.load()
        image = _upright(image)
    if image.mode == "F":
        raise DataError(
            f"the image {file} has floating-point pixels: divide them by the value that is white, "
            "and keep all images in one .npy file"
        )
    if image.mode.startswith("I"):
        values = _sixteen_bits(image, file)
        if black is not None:
            values = np.clip(black - values.astype(np.int64), 0, black).astype(np.uint16)
        largest = int(values.max())
        return Picture(_resized(values, image_size), largest, is_first, is_reduced)
    plain = _plain(image, is_grey, file)
    largest = int(np.asarray(plain).max())
    if image_size is not None:
        height, width = image_size
        # Where an image shrinks, Pillow widens this filter, so that every pixel counts.
        plain = plain.resize((width, height), Image.Resampling.BILINEAR)
    return Picture(np.array(plain), largest, is_first, is_reduced)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open a picture for the block, in which it is decoded too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # irregular files that Pillow can read anyway
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=_formats(file.suffix.lower())) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise DataError(
            f"the image {file} is too large: at most {limit:.3g} megapixels are read, so make it "
            "smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"the image {file} can't be read (it is damaged, or no image)") from error
    except OSError as error:
        raise DataError(
            f"the image {file} can't be read ({error.strerror or 'it is damaged'})"
        ) from error
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"the image {file} needs more memory than there is") from error
    except Exception as error:  # each of Pillow's forty readers raises what it likes
        raise DataError(f"the image {file} can't be read (it is damaged)") from error


def _raw_mode(image: Image.Image) -> str:
    """How the file lays out its pixels, in Pillow's words, such as "RGB;16B"; "" if unknown."""
    if not isinstance(image, ImageFile) or not image.tile:
        return ""
    arguments = image.tile[0][3]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _is_reduced(image: Image.Image) -> bool:
    return not image.mode.startswith("I") and _raw_mode(image).endswith(_REDUCED)


def _black_of_deep_tiff(image: Image.Image) -> int | None:
    """The value that is black in a TIFF of 16 bits where 0 is white; None for all else.

    Pillow turns such pictures round only if they have 8 bits.
    """
    if not isinstance(image, TiffImageFile) or not image.mode.startswith("I;16"):
        return None
    if image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) != _WHITE_IS_ZERO:
        return None
    return int(2 ** image.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0]) - 1


def _upright(image: Image.Image) -> Image.Image:
    """The decoded image, rotated as its EXIF data says.

    A tag that can't be read is no reason to refuse a sound picture, so it counts as none.
    """
    try:
        orientation: Any = image.getexif().get(ExifTags.Base.Orientation)
        turn = _UPRIGHT.get(orientation)
    except Exception:  # EXIF data are a format of their own, and often written wrongly
        turn = None
    return image if turn is None else image.transpose(turn)


def _plain(image: Image.Image, is_grey: bool, file: Path) -> Image.Image:
    """Convert an image to grey or RGB with 8 bits a channel; what is transparent becomes white."""
    has_palette = image.mode in ("P", "PA")
    try:
        if image.has_transparency_data:
            if image.mode == "La":
                image = image.convert("LA")
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
    except ValueError as error:
        raise DataError(
            f"the image {file} has pixels of the kind {image.mode}, which can't be converted to "
            "RGB: save it as PNG"
        ) from error
    if has_palette:  # some programs store grey images with a palette
        channels = np.asarray(image)
        is_grey = bool((channels == channels[..., :1]).all())
    return image.convert("L") if is_grey else image


def _sixteen_bits(image: Image.Image, file: Path) -> NDArray[np.uint16]:
    """The values of a grey image that has more than 8 bits; what is transparent becomes white."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > _SIXTEEN_BITS:
        raise DataError(
            f"the image {file} has more than 16 bits a pixel, or negative ones (values from "
            f"{values.min()} to {values.max()}): divide the values by the one that is white, and "
            "save them times 65535 as 16 bits, or as floating point in one .npy file"
        )
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        values = np.where(values == transparent, _SIXTEEN_BITS, values)
    return values.astype(np.uint16, copy=False)


def _resized(values: NDArray[np.uint16], image_size: tuple[int, int] | None) -> NDArray[np.uint16]:
    if image_size is None:
        return values
    height, width = image_size
    image = Image.fromarray(values.astype(np.float32))
    smooth: NDArray[np.float32] = np.array(image.resize((width, height), Image.Resampling.BILINEAR))
    return np.rint(smooth).astype(np.uint16)  # an average, so it lies in their range
