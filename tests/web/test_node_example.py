"""The example for Node, on a bundle of the runtime's fixtures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

TESTS = Path(__file__).parent.parent
EXAMPLE = TESTS.parent / "examples" / "node"
BUNDLE = TESTS / "sxvae_runtime" / "fixtures" / "bundle_v1_sampler"


def _reproduce(*arguments: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    if not (EXAMPLE / "node_modules").is_dir():
        pytest.skip("the example's packages are missing: npm --prefix examples/node ci")
    return subprocess.run(
        ["node", EXAMPLE / "reproduce.mjs", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_node_reproduces_the_golden_outputs() -> None:
    done = _reproduce(BUNDLE)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split(": largest difference ") for line in done.stdout.splitlines())
    assert list(lines) == ["encoder", "decoder", "sampler"]
    assert all(float(difference) <= 1e-5 for difference in lines.values())


@pytest.mark.parametrize("name", ["concentration", "mean", "sample"])
@pytest.mark.parametrize("wrong", [1e-4, np.nan])
def test_other_outputs_are_seen(tmp_path: Path, name: str, wrong: float) -> None:
    shutil.copytree(BUNDLE, tmp_path / "bundle")
    golden = load_file(BUNDLE / "golden.safetensors")
    golden[name].flat[1] *= 1 + wrong
    golden[name].flat[1] += wrong
    save_file(golden, tmp_path / "bundle" / "golden.safetensors")
    assert _reproduce(tmp_path / "bundle").returncode == 1


def test_without_a_bundle_the_usage_is_said() -> None:
    done = _reproduce()
    assert done.returncode == 2
    assert "usage" in done.stderr
