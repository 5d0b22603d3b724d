"""The explorer's page, built from the folder `web/`; wheels that are built with Node hold it."""

from __future__ import annotations

from pathlib import Path

from sxvae_runtime.errors import PageNotBuiltError

FOLDER = Path(__file__).parent / "built_page"
BUILD = "npm --prefix web ci && npm --prefix web run build"


def page_files() -> dict[str, bytes]:
    """The page's files by their paths, such as "index.html" and "assets/index.js".

    Raises:
        PageNotBuiltError: if the page was not built.
    """
    if not (FOLDER / "index.html").is_file():
        raise PageNotBuiltError(f"the explorer's page is not built; build it with: {BUILD}")
    files = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in files}
