"""The guide's examples run as they stand, page by page, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
# Two of measurements and tests, without examples, and one whose examples run elsewhere, in an
# environment without PyTorch.
_OTHERS = {"measurements.md", "reliability.md", "applications.md"}
PAGES = sorted(page.name for page in DOCS.glob("*.md") if page.name not in _OTHERS)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _run_shell(block: str, folder: Path) -> None:
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", block],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{scripts}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks marked sh and python run in order, those marked text are not meant to."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert blocks
    for language, block in blocks:
        if language == "sh":
            _run_shell(block, tmp_path)
        elif language == "python":
            exec(compile(block, f"docs/{page}", "exec"), names)
        else:
            assert language == "text"


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (DOCS / target).exists(), target
