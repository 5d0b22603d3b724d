"""Which arrays of a file are images and which labels, by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sxvae.config import SplitName
from sxvae.errors import DataError

IMAGES, LABELS = "x", "y"
# What `--labels-key` says where the labels are to be left out.
NO_LABELS = "none"

_NAMES_OF_IMAGES = frozenset(
    {IMAGES, "images", "image", "imgs", "img", "data", "pixels", "inputs", "features", "arr_0"}
)
_NAMES_OF_LABELS = frozenset(
    {LABELS, "labels", "label", "target", "targets", "classes", "class", "arr_1"}
)
# What people call the splits, in arrays and in folders.
SPLIT_NAMES: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Where two words of a name meet without a mark between them: trainImages, xtrain.
_JOINED = re.compile(rf"(?<=[a-z0-9])(?=[A-Z])|(?i:(?<=^[xy])(?=(?:{'|'.join(SPLIT_NAMES)})$))")


class Pair(NamedTuple):
    """The names of an array of images and of its labels, if there are any."""

    images: str
    labels: str | None


class Keys(NamedTuple):
    """The names that the user says; None for those that are to be found."""

    images: str | None = None
    labels: str | None = None


NO_KEYS = Keys()


class _Role(NamedTuple):
    """What an array's name says."""

    split: SplitName | None
    is_images: bool
    is_labels: bool


def find_pairs(names: Sequence[str], keys: Keys, path: Path) -> dict[SplitName | None, Pair]:
    """The images and labels in a file, for each split; under None if the file has no splits.

    Raises:
        DataError: if no name, or more than one, is one of images.
    """
    labels = None if keys.labels == NO_LABELS else keys.labels
    for key in (keys.images, labels):
        if key is not None and key not in names:
            raise DataError(f"{path} holds no {key!r}; it holds {_listed(names)}")
    roles = {name: _role(name) for name in names}
    if keys.images is not None:
        split = roles[keys.images].split
        return {None: Pair(keys.images, _labels(names, roles, split, keys, path))}
    images = [name for name in names if roles[name].is_images]
    if IMAGES in images:
        images = [IMAGES]
    elif len(names) == 1:
        images = list(names)
    elif images and all(roles[name].split for name in images):
        return _of_splits(names, images, roles, keys, path)
    if len(images) != 1:
        raise DataError(
            f"{path} holds {_listed(names)}: call the images 'x', and labels, if there are any, "
            "'y', or say which they are with --images-key of sxvae train"
        )
    return {None: Pair(images[0], _labels(names, roles, None, keys, path))}


def _of_splits(
    names: Sequence[str], images: list[str], roles: dict[str, _Role], keys: Keys, path: Path
) -> dict[SplitName | None, Pair]:
    found: dict[SplitName | None, Pair] = {}
    for name in images:
        split = roles[name].split
        if split in found:
            raise DataError(
                f"{path} holds {found[split].images!r} and {name!r}: say which are the images with "
                "--images-key"
            )
        found[split] = Pair(name, _labels(names, roles, split, keys, path))
    if "train" not in found:
        raise DataError(
            f"{path} holds {_listed(names)}, and no images to train on: say which they are with "
            "--images-key"
        )
    return found


def _labels(
    names: Sequence[str],
    roles: dict[str, _Role],
    split: SplitName | None,
    keys: Keys,
    path: Path,
) -> str | None:
    """The labels that belong to the images of a split."""
    if keys.labels is not None:
        return None if keys.labels == NO_LABELS else keys.labels
    labels = [name for name in names if roles[name].is_labels and roles[name].split == split]
    if LABELS in labels:
        return LABELS
    if len(labels) > 1:
        raise DataError(
            f"{path} holds {_listed(labels)}: say which are the labels with --labels-key, or none "
            "of them with --labels-key none"
        )
    return labels[0] if labels else None


def _role(name: str) -> _Role:
    """What a name such as `train_images`, `x_test`, `trainX` or `xtrain` says."""
    parted = _JOINED.sub("_", name).lower()
    words = [word for word in re.split(r"[\W_]+", parted) if word]
    split = None
    for end in (0, -1):
        if words and words[end] in SPLIT_NAMES and split is None:
            split = SPLIT_NAMES[words.pop(end)]
    rest = "_".join(words)
    alone = split is not None and not words  # `train` and `test` alone are images
    return _Role(split, rest in _NAMES_OF_IMAGES or alone, rest in _NAMES_OF_LABELS)


def how_read(names: Sequence[str], pairs: dict[SplitName | None, Pair], path: Path) -> str | None:
    """A remark on how a file was read; None where it has the documentation's names and no more."""
    used = {name for pair in pairs.values() for name in pair}
    unread = [name for name in names if name not in used]
    documented = pairs.get(None) in (Pair(IMAGES, LABELS), Pair(IMAGES, None))
    if documented and not unread:
        return None
    said = []
    for split, pair in pairs.items():
        labels = "" if pair.labels is None else f" with the labels {pair.labels!r}"
        said.append(f"{'images' if split is None else split} {pair.images!r}{labels}")
    rest = f"; {_listed(unread)} not read" if unread else ""
    return f"{path.name} was read as {', '.join(said)}{rest}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20])) or "nothing"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
