"""Servers as processes, on free ports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sxvae_runtime

Server = tuple["subprocess.Popen[str]", int]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a stored bundle with a sampler, S^2 x R^2 x S^4."""
    stored = Path(__file__).parents[1] / "fixtures" / "bundle_v1_sampler"
    return Path(shutil.copytree(stored, tmp_path_factory.mktemp("served") / "bundle"))


@pytest.fixture(scope="session")
def start_server() -> Iterator[Callable[..., Server]]:
    """Start `sxvae-runtime serve` on a bundle with options; gives the process and its port."""
    started = []

    def start(bundle: Path, *options: str | Path) -> Server:
        process = subprocess.Popen(
            [sys.executable, "-m", "sxvae_runtime", "serve", bundle, "--port", "0", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.fullmatch(rf"serving {bundle} on http://127\.0\.0\.1:(\d+)\n", line)
        assert address, line + process.stderr.read()
        return process, int(address[1])

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def port(start_server: Callable[..., Server], bundle: Path) -> int:
    """A server with the defaults."""
    return start_server(bundle)[1]


@pytest.fixture(scope="session")
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def runtime(bundle: Path) -> sxvae_runtime.Bundle:
    """The served bundle, loaded in the process of the tests."""
    return sxvae_runtime.load(bundle)
