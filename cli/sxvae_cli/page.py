"""The explorer's built page: what `web/` becomes, shipped inside a wheel built where Node is."""

from __future__ import annotations

from pathlib import Path

from sxvae.errors import OutputError

FOLDER = Path(__file__).parent / "built_page"
BUILD = "npm --prefix web ci && npm --prefix web run build"


def page_files() -> dict[str, bytes]:
    """The page's files by their paths, such as "index.html" and "assets/index.js".

    Raises:
        OutputError: if the page was not built.
    """
    if not (FOLDER / "index.html").is_file():
        raise OutputError(f"the explorer's page is not built; build it with: {BUILD}")
    files = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in files}
