"""The explorer as a folder that any static web server serves: the page and a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from sxvae.io.folders import new_folder
from sxvae_runtime.manifest import is_bundle
from sxvae_runtime.page import page_files

BUNDLE = "bundle"  # where the page looks for its bundle, beside itself


def is_website(folder: Path) -> bool:
    """Whether a folder holds a page and a bundle of ours."""
    return (folder / "index.html").is_file() and is_bundle(folder / BUNDLE)


def write_website(bundle: Path, out: Path, *, force: bool) -> None:
    """Write the page with a copy of a bundle; the folder appears at `out` as a whole.

    Raises:
        PageNotBuiltError: if the page is not built.
        OutputError: if `out` exists and may not be replaced, or can't be written.
    """
    page = page_files()
    with new_folder(out, force, is_website) as folder:
        shutil.copytree(bundle, folder / BUNDLE)
        for name, content in page.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
