"""The distribution itself: what the wheel holds, what the README promises."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"sxvae", "sxvae_cli", "sxvae_export", "sxvae_runtime"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("sxvae", "cli", "exports", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", str(folder), str(source)),
        ],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    assert {name.rsplit(".", 1)[-1] for name in names if ".dist-info/" not in name} == {
        "py",
        "typed",
    }


def test_the_readmes_python_example_runs(tmp_path: Path) -> None:
    (example,) = (block for block in _blocks("python") if "import sxvae\n" in block)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tensor([" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_ci_calls_the_readmes_test_command() -> None:
    (command,) = (block for block in _blocks("sh") if "pytest" in block)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith(command.rstrip())


def test_importing_the_runtime_imports_no_torch() -> None:
    code = "import sys, sxvae_runtime; assert not {'torch', 'sxvae'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
