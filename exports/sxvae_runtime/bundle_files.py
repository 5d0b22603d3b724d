"""A bundle's files: read once each, in the state that the manifest's hashes describe."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sxvae_runtime.errors import BundleError, BundleNotFoundError
from sxvae_runtime.files.staging import complete_replacements
from sxvae_runtime.graph_ports import check_ports
from sxvae_runtime.json_values import JsonProblemError, parse_object
from sxvae_runtime.manifest import MANIFEST, Manifest, parse_manifest
from sxvae_runtime.onnx_reader import UnfitGraphError, check_graph
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

# In bytes. Manifests of ours have some kilobytes; ONNX allows 2 GiB in one file.
_LARGEST_MANIFEST = 8 * 2**20
_LARGEST_FILE = 2**31 - 1


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a manifest of ours, damaged or not."""
    try:
        content = parse_object(read_regular_file(folder / MANIFEST, _LARGEST_MANIFEST))
    except (OSError, UnfitFileError, JsonProblemError):
        return False
    return "format_version" in content and "graphs" in content


def holds_manifest(folder: Path) -> bool:
    """Whether a folder is meant as a bundle; one that was being replaced is put in place first."""
    if not folder.exists():
        complete_replacements(folder.parent)
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file's hash.

    Raises:
        BundleNotFoundError: if the folder or one of its files is missing.
        BundleError: if `read_bundle` refuses it.
    """
    return read_bundle(folder)[0]


def read_bundle(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read a bundle's manifest, and its other files by their names.

    Raises:
        BundleNotFoundError: if the folder or one of its files is missing.
        BundleError: if the manifest is no manifest, of a newer format, or does not fit the graphs,
            a hash does not match, or a graph reaches beyond its own file.
    """
    path = folder / MANIFEST
    if not os.path.exists(folder):  # noqa: PTH110 (a name that is too long raises nothing here)
        complete_replacements(folder.parent)
    try:
        source = read_regular_file(path, _LARGEST_MANIFEST)
    except FileNotFoundError:
        raise BundleNotFoundError(
            f"there is no bundle at {folder}: it holds no {MANIFEST}"
        ) from None
    except UnfitFileError as error:
        raise BundleError(f"{path} {error}") from error
    manifest = parse_manifest(source, path)
    check_ports(folder, manifest)
    files = read_files(folder, manifest)
    for graph in manifest.graphs.values():
        try:
            check_graph(files[graph.file])
        except UnfitGraphError as error:
            raise BundleError(f"{folder / graph.file} {error}") from error
    return manifest, files


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read the files beside a bundle's manifest, by their names.

    Raises:
        BundleNotFoundError: if one is missing.
        BundleError: if one is not the file that the manifest names.
    """
    return {name: read_file(folder, manifest, name) for name in manifest.hashes}


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """Read a file beside a bundle's manifest: the bytes whose hash is in the manifest, or none.

    Raises:
        BundleNotFoundError: if it is missing.
        BundleError: if it is another file, a link or too large.
    """
    path = folder / name
    try:
        content = read_regular_file(path, _LARGEST_FILE)
    except FileNotFoundError:
        raise BundleNotFoundError(f"{path} is missing; export the bundle again") from None
    except UnfitFileError as error:
        raise BundleError(f"{path} {error}") from error
    if hashlib.sha256(content).hexdigest() != manifest.hashes[name]:
        raise BundleError(
            f"{path} is not the file that the manifest names (its SHA-256 differs): it was changed "
            "or damaged; export the bundle again"
        )
    return content
