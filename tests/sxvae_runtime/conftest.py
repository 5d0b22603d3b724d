"""Stored bundles, so that these tests need nothing but the runtime's own dependencies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime.manifest import digest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of bundles that older versions wrote."""
    return Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def bundle(fixtures: Path) -> Path:
    """S^4 x S^2 x S^4, vMF beside power spherical."""
    return fixtures / "bundle_v1_mixed"


@pytest.fixture
def app(bundle: Path) -> sxvae_runtime.Bundle:
    return sxvae_runtime.load(bundle)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """The bundle, to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).random((5, 1, 8, 8))


@pytest.fixture(scope="session")
def rewrite() -> Rewrite:
    """Change a manifest and sign it again, as somebody would who knows how."""

    def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        path = folder / "manifest.json"
        content = json.loads(path.read_text())
        change(content)
        content["sha256"] = digest(content)
        path.write_text(json.dumps(content))

    return changed


@pytest.fixture
def run(tmp_path: Path) -> Command:
    """Run `sxvae-runtime` as a user does, in an empty folder; `code` is the exit status."""

    def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "sxvae_runtime", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200"},
        )
        assert done.returncode == code, f"exit {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run
