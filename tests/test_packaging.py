"""The two distributions: what their wheels and sources hold, what the README promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import sxvae
import sxvae_runtime
from tests.installing import EXPORTS, ROOT, build_wheel, copy_sources, file_names, requirements

PACKAGES = {"sxvae", "sxvae_cli", "sxvae_export"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
BUILT_PAGE = "sxvae_runtime/built_page"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def _build_sdist(source: Path, folder: Path, path: str | None = None) -> Path:
    """The source distribution of a folder, with another PATH if there is one."""
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    environment = None if path is None else {**os.environ, "PATH": path}
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, env=environment)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("packaging") / "clone", "tests")


@pytest.fixture(scope="module")
def large(clone: Path) -> Path:
    """The wheel of sxvae, built from its source distribution."""
    return build_wheel(_build_sdist(clone, clone.parent), clone.parent / "large")


@pytest.fixture(scope="module")
def small(clone: Path) -> Path:
    """The wheel of sxvae-runtime, without the explorer's page."""
    return build_wheel(clone / "exports", clone.parent / "small")


def test_each_file_is_in_one_wheel_only(large: Path, small: Path) -> None:
    for wheel, packages in ((large, PACKAGES), (small, {"sxvae_runtime"})):
        names = file_names(wheel)
        assert {name.split("/")[0] for name in names} == packages
        assert {f"{package}/py.typed" for package in packages} <= names
        assert {name.rsplit(".", 1)[-1] for name in names} == {"py", "typed"}
    assert not file_names(large) & file_names(small)


def test_every_module_is_in_a_wheel(large: Path, small: Path) -> None:
    """An ignored or forgotten `__init__.py` would leave out its whole folder."""
    roots = (ROOT / "sxvae", ROOT / "cli" / "sxvae_cli", EXPORTS / "sxvae_export")
    for wheel, folders in ((large, roots), (small, (EXPORTS / "sxvae_runtime",))):
        modules = {
            path.relative_to(folder.parent).as_posix()
            for folder in folders
            for path in folder.rglob("*.py")
        }
        assert modules == {name for name in file_names(wheel) if name.endswith(".py")}


def test_what_an_older_build_left_is_in_no_wheel(tmp_path: Path, large: Path, small: Path) -> None:
    clone = copy_sources(tmp_path / "clone")
    for folder, wheel in ((clone, large), (clone / "exports", small)):
        stale = folder / "build" / "lib" / "sxvae_runtime" / "stale.py"
        stale.parent.mkdir(parents=True)
        stale.touch()
        assert file_names(build_wheel(folder, tmp_path / f"{folder.name}-wheel")) == file_names(
            wheel
        )


def test_both_have_the_one_version(large: Path, small: Path) -> None:
    version = sxvae_runtime.__version__
    assert sxvae.__version__ == version
    assert large.name.startswith(f"sxvae-{version}-")
    assert small.name.startswith(f"sxvae_runtime-{version}-")
    needed = {each.name: each for each in requirements(large) if each.marker is None}
    assert str(needed["sxvae-runtime"].specifier) == f"=={version}"
    texts = [path.read_text() for path in (ROOT / "pyproject.toml", ROOT / "setup.py")]
    texts += [path.read_text() for path in (EXPORTS / "pyproject.toml", EXPORTS / "setup.py")]
    assert not any(f'"{version}"' in text for text in texts)


def test_both_allow_the_same_versions(large: Path, small: Path) -> None:
    bounds = {each.name: each.specifier for each in requirements(large) if each.marker is None}
    for needed in requirements(small):
        if needed.marker is None:
            assert bounds[needed.name] == needed.specifier
    assert (EXPORTS / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_plain_runtime_needs_three_packages(small: Path) -> None:
    plain = {each.name for each in requirements(small) if each.marker is None}
    assert plain == {"numpy", "onnxruntime", "safetensors"}


# Stands for npm: logs its arguments, and builds a page.
NPM = """#!/bin/sh
echo "$*" >> "$NPM_LOG"
[ "$3" = ci ] && exit
page=$(dirname "$2")/exports/sxvae_runtime/built_page
mkdir -p "$page/assets" && echo page > "$page/index.html" && echo style > "$page/assets/a.css"
"""


def _put_on_path(tmp_path: Path, **scripts: str) -> str:
    for name, content in scripts.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(content)
        (tmp_path / "bin" / name).chmod(0o755)
    return f"{tmp_path / 'bin'}:{os.environ['PATH']}"


def test_wheel_and_source_hold_the_page_where_node_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = copy_sources(tmp_path / "clone", "web") / "exports"
    path = _put_on_path(tmp_path, node="#!/bin/sh\necho v20.19.0\n", npm=NPM)
    log = tmp_path / "npm.log"
    monkeypatch.setenv("NPM_LOG", str(log))
    page = {f"{BUILT_PAGE}/index.html", f"{BUILT_PAGE}/assets/a.css"}
    wheel = build_wheel(exports, tmp_path / "wheel", PATH=path)
    assert {name for name in file_names(wheel) if BUILT_PAGE in name} == page
    asked = [line.split("/web ") for line in log.read_text().splitlines()]
    assert [command for _, command in asked] == ["ci", "run build"]

    shutil.rmtree(exports / BUILT_PAGE)
    archive = _build_sdist(exports, tmp_path, path)
    with tarfile.open(archive) as sources:
        names = {name.partition("/")[2] for name in sources.getnames()}
    assert page <= names
    assert not any("sxvae_export" in name for name in names)
    shutil.rmtree(tmp_path / "clone")
    again = build_wheel(archive, tmp_path / "again")  # without npm, and far from web/
    assert file_names(again) == file_names(wheel)


@pytest.mark.parametrize("version", ["v18.20.8", "v20.19.0"])
def test_a_wheel_is_built_without_the_page_where_npm_does_not_work(
    tmp_path: Path, version: str
) -> None:
    exports = copy_sources(tmp_path / "clone", "web") / "exports"
    path = _put_on_path(tmp_path, node=f"#!/bin/sh\necho {version}\n", npm="#!/bin/sh\nexit 1\n")
    names = file_names(build_wheel(exports, tmp_path / "wheel", PATH=path))
    assert "sxvae_runtime/page.py" in names
    assert not [name for name in names if BUILT_PAGE in name]


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
