"""The distribution itself: what the wheel holds, what the README promises."""

from __future__ import annotations

import os
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


def _copy_source(folder: Path, *folders: str) -> Path:
    """A copy without built pages, so that nothing is written into the checkout."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "built_page", "node_modules")
    for name in folders:
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    return source


def _build_wheel(source: Path, folder: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        check=True,
        env={**os.environ, **environment},
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without the explorer's page."""
    folder = tmp_path_factory.mktemp("wheel")
    return _build_wheel(_copy_source(folder, "sxvae", "cli", "exports", "tests"), folder)


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


# Stands for npm: says what it was asked for, and builds a page.
NPM = """#!/bin/sh
echo "$*" >> "$NPM_LOG"
[ "$3" = ci ] && exit
page=$(dirname "$2")/cli/sxvae_cli/built_page
mkdir -p "$page/assets" && echo page > "$page/index.html" && echo style > "$page/assets/a.css"
"""


def _put_on_path(tmp_path: Path, **scripts: str) -> str:
    for name, content in scripts.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(content)
        (tmp_path / "bin" / name).chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_a_wheel_from_the_source_distribution_holds_the_page_where_node_is(tmp_path: Path) -> None:
    source = _copy_source(tmp_path, "cli", "web")
    build = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    path = _put_on_path(tmp_path, node="#!/bin/sh\necho v20.19.0\n", npm=NPM)
    log = tmp_path / "npm.log"
    wheel = zipfile.ZipFile(_build_wheel(archive, tmp_path, PATH=path, NPM_LOG=str(log)))
    asked = [line.split("/web ") for line in log.read_text().splitlines()]
    assert [command for _, command in asked] == ["ci", "run build"]
    pages = {name for name in wheel.namelist() if "built_page" in name}
    folder = "sxvae_cli/built_page"
    assert pages == {f"{folder}/index.html", f"{folder}/assets/a.css"}


@pytest.mark.parametrize("version", ["v18.20.8", "v20.19.0"])
def test_a_wheel_is_built_without_the_page_where_npm_does_not_work(
    tmp_path: Path, version: str
) -> None:
    source = _copy_source(tmp_path, "cli", "web")
    path = _put_on_path(tmp_path, node=f"#!/bin/sh\necho {version}\n", npm="#!/bin/sh\nexit 1\n")
    names = zipfile.ZipFile(_build_wheel(source, tmp_path, PATH=path)).namelist()
    assert "sxvae_cli/page.py" in names
    assert not [name for name in names if "built_page" in name]


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
