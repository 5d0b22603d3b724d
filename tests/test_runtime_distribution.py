"""`sxvae-runtime`, the small distribution: built, installed alone with its oldest dependencies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXPORTS = ROOT / "exports"
RUNTIME = EXPORTS / "sxvae_runtime"
RUNTIME_TESTS = ROOT / "tests" / "sxvae_runtime"
BUNDLE = RUNTIME_TESTS / "fixtures" / "bundle_v1_mixed"
FILES = {f"sxvae_runtime/{path.name}" for path in RUNTIME.glob("*.py")} | {"sxvae_runtime/py.typed"}
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")

# An application that calls all there is, and says which types it expects.
APPLICATION = """
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import sxvae_runtime
from sxvae_runtime import BundleError, BundleNotFoundError, InputError, RuntimeBundleError

Floats = NDArray[np.float32]


def run(folder: Path, images: NDArray[np.uint8]) -> Floats | None:
    try:
        app = sxvae_runtime.load(folder, providers=None, threads=2, batch_size=64)
    except BundleNotFoundError as missing:
        print(missing.filename)
        return None
    except (BundleError, InputError, RuntimeBundleError):
        return None
    assert_type(app, sxvae_runtime.Bundle)
    assert_type(app.factors, tuple[sxvae_runtime.Factor, ...])
    assert_type(app.factors[0].name, str)
    assert_type(app.input_shape, tuple[int, ...])
    assert_type(app.ambient, int)
    assert_type(app.path, Path)
    assert_type(app.verify(), float)
    q = app.encode(images)
    assert_type(q, sxvae_runtime.Posterior)
    assert_type(q.mean_direction, Floats)
    assert_type(q.scale, Floats | None)
    z = app.sample_prior(2, seed=np.random.default_rng(0))
    assert_type(z, Floats)
    assert_type(app.sample_posterior(q, samples=3, seed=0), Floats)
    assert_type(app.interpolate(z[0], z[1], steps=5, long_way=True), Floats)
    assert_type(app.traverse(z[0], 0, axis=1, steps=5), Floats)
    assert_type(app.reconstruct(images), Floats)
    return app.decode(z)
"""


def _project(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return content


def _blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def wheel(once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Built from the source distribution, which is built from a copy of the checkout's."""

    def build(folder: Path) -> None:
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(EXPORTS, folder / "source", ignore=unwanted)
        code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
        command = [sys.executable, "-c", code, str(folder)]
        subprocess.run(command, cwd=folder / "source", check=True, capture_output=True)
        (sdist,) = folder.glob("*.tar.gz")
        options = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
        subprocess.run([*PIP, "wheel", *options, str(sdist)], check=True)

    (built,) = once("runtime-wheel", build).glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Of an environment with the wheel, its oldest dependencies, pytest, and nothing else."""
    oldest = [each.replace(">=", "==") for each in _project(EXPORTS)["dependencies"]]

    def install(folder: Path) -> None:
        venv.create(folder)
        pip = [*PIP, "--python", str(folder / "bin" / "python"), "install", "--no-compile"]
        done = subprocess.run(
            [*pip, *oldest, "pytest"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"the package index can't be reached: {done.stderr.strip()[-200:]}")
        subprocess.run([*pip, "--no-index", str(wheel)], check=True)

    return once("runtime-environment", install) / "bin" / "python"


def _run(python: Path, *arguments: str | Path, cwd: Path) -> str:
    """Run the environment's Python apart from this one's paths."""
    done = subprocess.run(
        [python, "-I", "-W", "error", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_both_distributions_say_the_same_of_the_runtime() -> None:
    large, small = _project(ROOT), _project(EXPORTS)
    for key in ("version", "requires-python", "license"):
        assert small[key] == large[key]
    assert set(small["dependencies"]) <= set(large["dependencies"])
    assert (EXPORTS / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_and_the_source_hold_the_runtime_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == FILES
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (sdist,) = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert {*FILES, "README.md", "LICENSE", "pyproject.toml"} <= sources
    assert not any("sxvae_export" in name for name in names | sources)


def test_the_runtimes_tests_pass_in_an_environment_of_its_own(python: Path, tmp_path: Path) -> None:
    """From another folder, so that the installed package is what they import."""
    shutil.copytree(RUNTIME_TESTS, tmp_path / "tests")
    options = ("-W", "error", "-q", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib")
    output = _run(python, "-m", "pytest", *options, "tests", cwd=tmp_path)
    (passed,) = re.findall(r"(\d+) passed", output)
    assert int(passed) >= 190
    skipped = re.findall(r"^SKIPPED .*", output, re.M)
    assert all("No module named 'scipy'" in line for line in skipped)


def test_the_examples_run_without_pytorch(python: Path, tmp_path: Path) -> None:
    """Those of the READMEs and of docs/applications.md."""
    shutil.copytree(BUNDLE, tmp_path / "bundle")
    (example,) = (block for block in _blocks(ROOT / "README.md") if "sxvae_runtime" in block)
    assert len(example.strip().splitlines()) <= 12
    assert "pictures on the way: (10, 1, 8, 8)" in _run(python, "-c", example, cwd=tmp_path)
    (example,) = _blocks(EXPORTS / "README.md")
    _run(python, "-c", example, cwd=tmp_path)

    *guide, application = _blocks(ROOT / "docs" / "applications.md")
    without = "import sys\nassert not {'torch', 'sxvae', 'scipy'} & set(sys.modules)\n"
    output = _run(python, "-c", "\n".join([*guide, without]), cwd=tmp_path)
    assert "z has norm 2 in factor 0 (S^4); points of a sphere have norm 1" in output
    (tmp_path / "walk.py").write_text(application)
    _run(python, "walk.py", "bundle", "walk.pgm", "--seed", "3", cwd=tmp_path)
    picture = (tmp_path / "walk.pgm").read_bytes()
    header, pixels = picture.split(b"\n", 1)
    assert header == b"P5 96 24 255"  # 12 steps and 3 factors of 8 x 8
    assert len(pixels) == 96 * 24
    for module in ("torch", "sxvae"):
        done = subprocess.run([python, "-I", "-c", f"import {module}"], capture_output=True)
        assert done.returncode == 1


def test_errors_of_the_application_are_one_sentence(python: Path, tmp_path: Path) -> None:
    *_, application = _blocks(ROOT / "docs" / "applications.md")
    (tmp_path / "walk.py").write_text(application)
    done = subprocess.run(
        [python, "-I", "walk.py", "nowhere", "walk.pgm"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "walk.py: there is no bundle at nowhere: it holds no manifest.json\n"


def test_an_outside_users_mypy_sees_the_types(python: Path, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(APPLICATION)
    wrong = "import sxvae_runtime\n\nsxvae_runtime.load('bundle').traverse([1.0], 'first')\n"
    (tmp_path / "wrong.py").write_text(wrong)
    outputs = {}
    for name in ("good", "wrong"):
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-m", "mypy", "--strict", "--config-file=", f"{name}.py"),
                *("--python-executable", str(python), "--cache-dir", str(tmp_path / "cache")),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        outputs[name] = (done.returncode, done.stdout)
    assert outputs["good"] == (0, "Success: no issues found in 1 source file\n")
    code, message = outputs["wrong"]
    assert code == 1
    assert 'Argument 2 to "traverse" of "Bundle" has incompatible type "str"' in message
