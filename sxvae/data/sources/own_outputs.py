"""What sxvae itself wrote into a folder of pictures, which is never part of the data.

`sxvae train --dataset .` puts `runs/` among the pictures, and `sxvae sample` a `samples.png`. If
they counted as data, the data would change with every command.
"""

from __future__ import annotations

from pathlib import Path

from sxvae.data.sources.pictures import suffixes
from sxvae_runtime.bundle_files import is_bundle
from sxvae_runtime.json_values import JsonProblemError, parse_object
from sxvae_runtime.pictures import is_our_picture
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

# `runs/`, and in it a folder that groups runs.
_LEVELS_ABOVE_RUNS = 2
# In bytes; a config.json of ours has some 3,000.
_LARGEST = 2**24


def is_own_folder(folder: Path, levels_above: int = _LEVELS_ABOVE_RUNS) -> bool:
    """Whether a folder is a run, a bundle, or holds nothing but such folders.

    Args:
        folder: its path.
        levels_above: how many levels of folders there may be above the runs.
    """
    if _is_run(folder) or is_bundle(folder):
        return True
    if levels_above == 0:
        return False
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    inside = [entry for entry in entries if entry.is_dir()]
    return (
        bool(inside)
        and not any(entry.suffix.lower() in suffixes() for entry in entries)
        and all(is_own_folder(entry, levels_above - 1) for entry in inside)
    )


def is_own_picture(file: Path) -> bool:
    """Whether a file is a PNG that sxvae drew; of a file that can't be read, no."""
    if file.suffix.lower() != ".png":
        return False
    try:
        return is_our_picture(file)
    except OSError:
        return False


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a config.json of ours, of any version."""
    try:
        content = parse_object(read_regular_file(folder / "config.json", _LARGEST, links=True))
    except (OSError, UnfitFileError, JsonProblemError):
        return False
    return {"format_version", "model", "data"} <= content.keys()
