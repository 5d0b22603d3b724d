"""The folder of a bundle, from whatever an application calls its path."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from sxvae_runtime.errors import BundleError, InputError, SettingError
from sxvae_runtime.manifest import GOLDEN_FILE, GRAPH_FILES, MANIFEST
from sxvae_runtime.user_paths import user_path

BundlePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_FILES = (MANIFEST, GOLDEN_FILE, *GRAPH_FILES.values())
# What every run holds, and where `sxvae export` puts a run's bundle and a website's.
_RUN_CONFIG = "config.json"
_USUAL_PLACES = ("onnx", "bundle")


def find_bundle(path: BundlePath) -> Path:
    """The folder that is meant.

    Args:
        path: the folder, or one of its files; a leading `~` is the home folder.

    Raises:
        InputError: if it is no path.
        BundleError: if it is a file or a folder of another kind, with what to do about it.
    """
    found = _as_path(path)
    kind = _kind(found)
    if kind is not None and not stat.S_ISDIR(kind):
        return _folder_of(found)
    if kind is not None and _kind(found / MANIFEST) is None:
        _refuse_other_folder(found)
    return found


def _as_path(path: BundlePath) -> Path:
    try:
        text = os.fsdecode(path)
    except TypeError:
        kind = type(path).__name__
        raise InputError(
            f"a bundle's path is a text or a pathlib.Path, not of type {kind}"
        ) from None
    if not text:
        raise InputError("the bundle's path is empty; name the folder that sxvae export wrote")
    try:
        return user_path(text)
    except SettingError as error:
        raise InputError(str(error)) from None


def _kind(path: Path) -> int | None:
    """What is at a path, links followed; None if nothing is, or it can't be told."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a path with a NUL
        return None


def _folder_of(file: Path) -> Path:
    """The bundle that a file lies in."""
    if file.name in _FILES and _kind(file.parent / MANIFEST) is not None:
        return file.parent
    if file.suffix == ".safetensors":
        raise BundleError(
            f"{file} is a file and no bundle; if it is a checkpoint, export it first: "
            f"sxvae export {shlex.quote(str(file))} --onnx --out bundle"
        )
    raise BundleError(f"{file} is a file; name the folder that sxvae export wrote")


def _refuse_other_folder(folder: Path) -> None:
    """Say what to do where a folder without a manifest is one that we know.

    Raises:
        BundleError: saying so.
    """
    for place in _USUAL_PLACES:
        if _kind(folder / place / MANIFEST) is not None:
            raise BundleError(f"{folder} is no bundle, but holds one: name {folder / place}")
    if _kind(folder / _RUN_CONFIG) is not None:
        raise BundleError(
            f"{folder} is a run and no bundle; export it first: "
            f"sxvae export {shlex.quote(str(folder))} --onnx"
        )
