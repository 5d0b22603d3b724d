"""What the tests share. Each folder mirrors one import package."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent

# A training that ends in seconds and still has a best epoch after burn-in.
SHORT_TRAINING = ("--epochs", "4", "--burn-in", "1", "--kl-warmup", "2", "--eval-samples", "20")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


# How long an example takes says nothing on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The tests run two at a time, and small models gain nothing from a second thread.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _run(*args: str | Path, cwd: Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "sxvae_cli", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run `sxvae` as a user does, in an empty folder; `code` is the exit status to expect."""

    def run(
        *args: str | Path, code: int | None = 0, cwd: Path = tmp_path
    ) -> subprocess.CompletedProcess[str]:
        return _run(*args, cwd=cwd, code=code)

    return run


@pytest.fixture(scope="session")
def once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder with a name, filled once for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder, filled = root / name, root / f"{name}.filled"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command line on digits, over three factors of two dimensions and families."""
    folder = tmp_path_factory.mktemp("trained")
    space = ("--z-dims", "4,2,4", "--distribution", "vmf,power-spherical,vmf")
    _run("train", *space, *SHORT_TRAINING, "--name", "run", cwd=folder)
    return folder / "runs" / "run"


@pytest.fixture(scope="session")
def bundle(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that the command line exports from `trained`."""
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    _run("export", trained, "--onnx", "--out", folder, cwd=folder.parent)
    return folder


@pytest.fixture(scope="session")
def quantized(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `int8`, the quantised bundle, `models`, for Triton, and `said.json`."""
    folder = tmp_path_factory.mktemp("quantized")
    paths = ("--out", folder / "int8", "--triton", folder / "models")
    done = _run("export", trained, "--onnx", "--quantize", "int8", *paths, "--json", cwd=folder)
    (folder / "said.json").write_text(done.stdout)
    return folder


@pytest.fixture(scope="session")
def letter_f() -> NDArray[np.uint8]:
    """An F of zeros and ones, 28x28: no turn or reflection leaves it as it is."""
    picture = np.zeros((28, 28), dtype=np.uint8)
    picture[4:24, 8:12] = 1
    picture[4:8, 8:21] = 1
    picture[12:15, 8:17] = 1
    return picture


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """A folder with the real MNIST files: `SXVAE_DATA_DIR`, or one beside the checkout."""
    named = os.environ.get("SXVAE_DATA_DIR")
    folders = (
        [Path(named)] if named else [raw.parents[1] for raw in ROOT.parent.glob("*/data/MNIST/raw")]
    )
    for folder in folders:
        if (folder / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
            return folder
    pytest.skip("the MNIST files are not here: set SXVAE_DATA_DIR to a folder that has them")
