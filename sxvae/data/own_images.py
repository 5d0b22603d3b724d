"""Images and labels that a user hands over in Python: checked once, and taken as they are meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sxvae.errors import DataError
from sxvae.io.image_arrays import as_pixels
from sxvae.io.labels import Labels, read_labels
from sxvae_runtime.inputs import ROUNDING_OF_HALVES
from sxvae_runtime.levels import FEW_IMAGES, Question

_IMAGES, _LABELS = "the array of images", "the labels"
# A split may be small, so it is asked as little as an application is.
_QUESTION = Question(FEW_IMAGES.doubted_below, lambda levels: f"scale={levels - 1}")


def pixels_of(images: Tensor | ArrayLike, scale: float | None) -> tuple[Tensor, float]:
    """Images as a contiguous tensor (n, C, H, W) of uint8 or float32, and the value that is 1.

    Args:
        images: shape (n, C, H, W), or (n, H, W) of grey images; a tensor, perhaps with gradients,
            which are left behind, or what NumPy makes an array of.
        scale: the value that stands for 1; None for 1 in floating point, bool and masks of 0 and
            1, and for the type's largest in uint8 and uint16.

    Raises:
        DataError: if they are no such images, or their scale can't be told.
    """
    if scale is not None and not _is_positive(scale):
        raise DataError(f"the scale of images is a number above 0, not {scale!r}")
    tensor = _tensor(images, _IMAGES)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(1)
    if scale is None or not (tensor.is_floating_point() or tensor.dtype == torch.uint8):
        tensor, scale = _with_scale(tensor, scale)
    if tensor.is_floating_point() and tensor.dtype != torch.float32:
        tensor = _single_precision(tensor, scale)
    return tensor.contiguous(), float(scale)


def labels_of(
    labels: Tensor | ArrayLike, n: int, class_names: Sequence[str] | None, device: torch.device
) -> tuple[Tensor, tuple[str, ...] | None]:
    """Labels as int64, shape (n,), and the names of their classes, if there are any.

    Args:
        labels: as `sxvae.io.labels.read_labels` takes them.
        n: the number of images.
        class_names: of the classes 0, 1, 2, ..., if the caller says them.
        device: where the images are.

    Raises:
        DataError: if the labels are none, or are not one for each image, or have no name.
    """
    if isinstance(labels, Tensor) and _is_plain_classes(labels, n):
        found, names = labels.to(device), None
    else:
        read = _read_labels(labels, n)
        found, names = torch.from_numpy(read.values).to(device), read.class_names
    if class_names is None:
        return found, names
    given = _names(class_names)
    if names is not None:
        return _renumbered(found, names, given), given
    if n and not 0 <= int(found.min()) <= int(found.max()) < len(given):
        raise DataError(
            f"{_LABELS} go from {int(found.min())} to {int(found.max())}, and there are "
            f"{len(given)} class names"
        )
    return found, given


def _is_plain_classes(labels: Tensor, n: int) -> bool:
    return labels.dtype == torch.int64 and labels.shape == (n,) and not labels.is_meta


def _renumbered(labels: Tensor, old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    """Labels that number the names `old`, as labels that number the names `new`.

    Raises:
        DataError: if a name is not among the new ones.
    """
    strange = [name for name in old if name not in new]
    if strange:
        raise DataError(f"{_LABELS} hold {strange[0]!r}, which is none of the class names")
    order = torch.tensor([new.index(name) for name in old], device=labels.device)
    return order[labels]


def common_classes(
    names: Sequence[tuple[str, ...] | None], labels: Sequence[Tensor | None]
) -> tuple[tuple[str, ...] | None, list[Tensor | None]]:
    """Number the classes of several splits alike.

    Args:
        names: the class names of each split.
        labels: its labels.

    Returns:
        The names of all classes, in the order of the alphabet where the splits differ, and the
        labels.

    Raises:
        DataError: if only some of the labels have names.
    """
    named = [each for each, values in zip(names, labels, strict=True) if values is not None]
    if len(set(named)) <= 1:
        return (named[0] if named else None), list(labels)
    known = [each for each in named if each is not None]
    if len(known) < len(named):
        raise DataError(
            "the classes of one split have names and those of another have not: give all splits "
            "labels of the same kind"
        )
    union = tuple(sorted({name for each in known for name in each}))
    return union, [
        values if values is None or old is None else _renumbered(values, old, union)
        for old, values in zip(names, labels, strict=True)
    ]


def _with_scale(tensor: Tensor, scale: float | None) -> tuple[Tensor, float]:
    """Pixels whose type says their scale, or asks for it."""
    if tensor.is_floating_point():
        return tensor, 1.0
    if tensor.dtype == torch.bool:
        if scale not in (None, 1):
            raise DataError(f"the scale of bool images is 1, not {scale:g}")
        return tensor.to(torch.uint8), 1.0
    levels = None
    if scale is None and _is_mask(tensor):
        scale = 1.0
    if scale is not None:
        if scale != int(scale):
            return tensor.to(torch.float32), scale
        levels = int(scale) + 1
    values, found = as_pixels(tensor.cpu().numpy(), _IMAGES, levels, _QUESTION)
    return torch.from_numpy(values).to(tensor.device), found


def _is_mask(tensor: Tensor) -> bool:
    """Whether bytes are all 0 and 1, which is asked about in files, whose owner is not here."""
    return tensor.dtype == torch.uint8 and bool((tensor <= 1).all())


def _single_precision(tensor: Tensor, scale: float) -> Tensor:
    """float32, with what the roundings of 16 bits left outside [0, scale] set to its ends."""
    values = tensor.to(torch.float32)
    if tensor.dtype.itemsize == 2 and values.numel():
        rounding = scale * ROUNDING_OF_HALVES
        if values.min() >= -rounding and values.max() <= scale + rounding:
            return values.clamp(0, scale)
    return values


def _tensor(value: Tensor | ArrayLike, name: str) -> Tensor:
    if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
        value = _stacked(value, name)
    if not isinstance(value, Tensor):
        return torch.from_numpy(_plain(_array(value, name), name))
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_complex():
        raise DataError(f"{name} is a {value.dtype} tensor without plain numbers: make it dense")
    return value.detach()


def _stacked(tensors: Sequence[Any], name: str) -> Tensor:
    try:
        return torch.stack(list(tensors))
    except (RuntimeError, TypeError) as error:
        raise DataError(f"{name} can't be stacked: its tensors differ in shape or type") from error


def _array(value: object, name: str) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise DataError(f"{name} has masked values: fill them, for example with x.filled(0)")
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{name} is no array: its rows differ in shape or type") from error


def _plain(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """An array as PyTorch takes it: of its own types, contiguous, writable."""
    if array.dtype.kind not in "iufb" and "float" not in array.dtype.name:
        raise DataError(
            f"{name} is {array.dtype}: an array or tensor of numbers is needed, of shape "
            "(n, C, H, W)"
        )
    if array.dtype.kind not in "iub" and array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)  # longer and shorter ones
    native = array.dtype.newbyteorder("=")
    return np.require(array, native, requirements=["C", "W"])


def _read_labels(labels: Tensor | ArrayLike, n: int) -> Labels:
    if isinstance(labels, Tensor):
        tensor = _tensor(labels, _LABELS).cpu()
        labels = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    elif isinstance(labels, list | tuple) and labels and isinstance(labels[0], Tensor):
        labels = _stacked(labels, _LABELS).cpu().numpy()
    array = labels if isinstance(labels, np.ma.MaskedArray) else _array(labels, _LABELS)
    return read_labels(array, n, _LABELS)


def _names(class_names: Sequence[str]) -> tuple[str, ...]:
    names = tuple(class_names)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise DataError(f"class names are different texts, not {class_names!r}")
    return names


def _is_positive(scale: object) -> bool:
    if not isinstance(scale, int | float | np.integer | np.floating):
        return False
    return bool(math.isfinite(scale) and scale > 0)
