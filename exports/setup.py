"""Build the explorer's page into wheels and source distributions, where Node is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
WEB = ROOT.parent / "web"  # in a clone; a source distribution holds the built page in its place
PAGE = ROOT / "sxvae_runtime" / "built_page"
OLDEST_NODE = (20, 19)


class BuildWithPage(build_py):
    """Builds the page first, except for an editable install, whose page npm builds in place.

    What an older version left in `build/` is removed, for it would get into the wheel.
    """

    def run(self) -> None:
        """Build what goes into the wheel."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        if not self.editable_mode:
            build_page()
        super().run()


class SourceWithPage(sdist):
    """Builds the page first."""

    def run(self) -> None:
        """Collect what goes into the source distribution."""
        build_page()
        super().run()


def build_page() -> None:
    """Build the page unless there is a fresh one; without Node the distribution does without it."""
    if not WEB.is_dir() or _is_fresh():
        return
    npm = shutil.which("npm")
    if npm is None or _node_version() < OLDEST_NODE:
        _say("Node 20.19 or newer is not here")
        return
    try:
        for command in (["ci"], ["run", "build"]):
            subprocess.run([npm, "--prefix", str(WEB), *command], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        _say(str(error))


def _is_fresh() -> bool:
    index = PAGE / "index.html"
    sources = [path for path in WEB.rglob("*") if "node_modules" not in path.parts]
    newest = max(path.stat().st_mtime for path in sources if path.is_file())
    return index.is_file() and index.stat().st_mtime >= newest


def _node_version() -> tuple[int, ...]:
    node = shutil.which("node")
    if node is None:
        return (0,)
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in re.findall(r"\d+", said)) or (0,)


def _say(reason: str) -> None:
    print(f"the explorer's page is not built anew: {reason}", file=sys.stderr)


setup(cmdclass={"build_py": BuildWithPage, "sdist": SourceWithPage})
