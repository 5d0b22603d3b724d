"""What the tests of the compiled code's cache share: scripts, and users' cache folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# What two small functions compute, and how many of them were loaded and compiled.
SCRIPT = """
import json
import numpy as np
from sxvae.kernels.random_bits import mix, uniform

result = uniform(mix(np.uint64(7)))
hits, misses = (
    sum(sum(getattr(function.stats, kind).values()) for function in (mix, uniform))
    for kind in ("cache_hits", "cache_misses")
)
print(json.dumps({"result": result, "loaded": hits, "compiled": misses}))
"""
ALL = 2


def environment(home: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return {**kept, "XDG_CACHE_HOME": str(home), **changes}


def told_by(done: subprocess.CompletedProcess[str], remark: str | None) -> dict[str, Any]:
    """What the script printed; stderr has one line that holds `remark`, or nothing."""
    assert done.returncode == 0, done.stderr
    if remark is None:
        assert done.stderr == ""
    else:
        assert done.stderr.count("\n") == 1, done.stderr
        assert remark in done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def run_script(
    home: Path,
    remark: str | None = None,
    cwd: Path | None = None,
    script: str = SCRIPT,
    **changes: str,
) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or home.parent,
        env=environment(home, **changes),
    )
    return told_by(done, remark)


def key_folders(home: Path) -> list[Path]:
    return sorted((home / "sxvae" / "kernels").iterdir())


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of a user who has run the script once."""
    home = tmp_path_factory.mktemp("filled") / "home"
    told = run_script(home)
    assert (told["loaded"], told["compiled"]) == (0, ALL)
    return home


@pytest.fixture(scope="session")
def result(filled: Path) -> Any:
    """What the script computes."""
    return run_script(filled)["result"]


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    """A copy of `filled` to damage."""
    shutil.copytree(filled, tmp_path / "home")
    return tmp_path / "home"
