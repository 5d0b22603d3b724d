"""The user's own images for a picture, from a NumPy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae.errors import DataError


@dataclass(frozen=True)
class Images:
    """Images to encode.

    Attributes:
        x: values in [0, 1], float32, shape (n, C, H, W).
        labels: a class for each, shape (n,), or None.
    """

    x: NDArray[np.float32]
    labels: NDArray[Any] | None


def read_images(path: Path, input_shape: tuple[int, ...]) -> Images:
    """Read a .npy file of images, or a .npz file of images `x` and, if it has them, labels `y`.

    Args:
        path: holds arrays (n, C, H, W), or (n, H, W) where C is 1; uint8 is divided by 255.
        input_shape: the model's (C, H, W).

    Raises:
        DataError: if the file can't be read, or holds something else.
    """
    x, labels = _arrays(path)
    if x.ndim == 3 and input_shape[0] == 1:
        x = x[:, None]
    if x.ndim != 4 or len(x) == 0 or x.shape[1:] != input_shape:
        needed = ", ".join(map(str, input_shape))
        raise DataError(f"{path} holds images of the shape {x.shape}; (n, {needed}) is needed")
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255)
    if not np.issubdtype(x.dtype, np.floating) or not ((x >= 0) & (x <= 1)).all():
        raise DataError(
            f"{path} holds images of other values than uint8, or floating point in [0, 1]"
        )
    if labels is not None and labels.shape != (len(x),):
        raise DataError(f"{path} holds labels of the shape {labels.shape}; ({len(x)},) is needed")
    return Images(x.astype(np.float32), labels)


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content, None
        with content:
            return content["x"], content["y"] if "y" in content.files else None
    except KeyError:
        raise DataError(f"{path} holds no array x, which the images should be") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} can't be read as a .npy or .npz file of arrays") from error
