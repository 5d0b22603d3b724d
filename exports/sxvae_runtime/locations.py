"""The folder of a bundle, from whatever an application calls its path."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae_runtime.errors import BundleError, InputError
from sxvae_runtime.manifest import GOLDEN_FILE, GRAPH_FILES, MANIFEST

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
    try:
        if found.is_file():
            return _folder_of(found)
        if found.is_dir() and not (found / MANIFEST).exists():
            _refuse_other_folder(found)
    except (OSError, ValueError):
        pass  # what it is can't be told, and reading it says why
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
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text}: {error}; write the path without ~") from error


def _folder_of(file: Path) -> Path:
    """The bundle that a file lies in."""
    if file.name in _FILES and (file.parent / MANIFEST).exists():
        return file.parent
    if file.suffix == ".safetensors":
        raise BundleError(
            f"{file} is a file and no bundle; if it is a checkpoint, export it first: "
            "sxvae export CHECKPOINT --onnx --out bundle"
        )
    raise BundleError(f"{file} is a file; name the folder that sxvae export wrote")


def _refuse_other_folder(folder: Path) -> None:
    """Say what to do where a folder without a manifest is one that we know.

    Raises:
        BundleError: saying so.
    """
    for place in _USUAL_PLACES:
        if (folder / place / MANIFEST).exists():
            raise BundleError(f"{folder} is no bundle, but holds one: name {folder / place}")
    if (folder / _RUN_CONFIG).exists():
        raise BundleError(
            f"{folder} is a run and no bundle; export it first: sxvae export {folder} --onnx"
        )
