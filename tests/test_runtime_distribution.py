"""`sxvae-runtime`, built from its source distribution and installed from the package index.

Once with the oldest dependencies that it allows, and once for each other Python that is here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.installing import EXPORTS, PIP, ROOT, build_wheel, copy_sources, requirements

RUNTIME_TESTS = ROOT / "tests" / "sxvae_runtime"
BUNDLE = RUNTIME_TESTS / "fixtures" / "bundle_v1_mixed"
SERVED = RUNTIME_TESTS / "fixtures" / "bundle_v1_sampler"

Once = Callable[[str, Callable[[Path], None]], Path]

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


def _blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def wheel(once: Once) -> Path:
    """The wheel of sxvae-runtime, built from its source distribution."""

    def build(folder: Path) -> None:
        exports = copy_sources(folder / "clone") / "exports"
        code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
        command = [sys.executable, "-c", code, str(folder)]
        subprocess.run(command, cwd=exports, check=True, capture_output=True)
        (sdist,) = folder.glob("*.tar.gz")
        build_wheel(sdist, folder / "wheel")

    (built,) = (once("runtime-wheel", build) / "wheel").glob("*.whl")
    return built


def _oldest(wheel: Path, extra: str) -> list[str]:
    """The lowest versions that a wheel allows of what it needs itself, with an extra or none."""
    found = []
    for needed in requirements(wheel):
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            (bound,) = needed.specifier
            found.append(f"{needed.name}=={bound.version}")
    return found


def _install(python: Path, *wanted: str | Path) -> None:
    """Install from the package index, or skip the test where it can't be reached."""
    command = [*PIP, "--python", python, "install", "--quiet", "--no-compile", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and re.search("connection|Could not find a version", done.stderr):
        pytest.skip(f"the package index can't be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def python(wheel: Path, once: Once) -> Path:
    """The Python of an environment with only the wheel, its oldest dependencies and pytest."""

    def install(folder: Path) -> None:
        venv.create(folder)
        _install(folder / "bin" / "python", wheel, *_oldest(wheel, ""), "pytest")

    return once("runtime-environment", install) / "bin" / "python"


@pytest.fixture(scope="module")
def serving(wheel: Path, python: Path, once: Once) -> Path:
    """The Python of an environment with the oldest dependencies of the extra `serve` too."""

    def install(folder: Path) -> None:
        venv.create(folder)
        _install(folder / "bin" / "python", f"{wheel}[serve]", *_oldest(wheel, "serve"))

    return once("serving-environment", install) / "bin" / "python"


def _other_pythons() -> list[Path]:
    """One interpreter for each newer version that the classifiers name."""
    found = []
    for version in ("3.12", "3.13"):
        kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python3"))
        on_path = shutil.which(f"python{version}")
        for path in ([Path(on_path)] if on_path else []) + kept:
            works = subprocess.run([path, "-c", ""], capture_output=True, check=False)
            if works.returncode == 0:
                found.append(path)
                break
    return found


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


def _run_runtime_tests(python: Path, folder: Path) -> None:
    """Those that need no more than the plain installation, from another folder than the checkout.

    So the installed package is what they import.
    """
    shutil.copytree(RUNTIME_TESTS, folder / "tests")
    options = ("-W", "error", "-q", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib")
    left_out = ("--ignore=tests/serving", "--ignore=tests/command_line")
    output = _run(python, "-m", "pytest", *options, *left_out, "tests", cwd=folder)
    (passed,) = re.findall(r"(\d+) passed", output)
    assert int(passed) >= 190
    skipped = re.findall(r"^SKIPPED .*", output, re.M)
    assert all("No module named 'scipy'" in line for line in skipped)


def test_the_runtimes_tests_pass_with_the_oldest_dependencies(python: Path, tmp_path: Path) -> None:
    _run_runtime_tests(python, tmp_path)


@pytest.mark.parametrize("other", _other_pythons(), ids=lambda path: str(path.resolve().name))
def test_the_runtimes_tests_pass_on_other_pythons(other: Path, wheel: Path, tmp_path: Path) -> None:
    """Other Python versions are tested with the newest dependencies."""
    subprocess.run([other, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    _install(python, f"{wheel}[serve]", "pytest")
    _run_runtime_tests(python, tmp_path)
    _check_serving(python, tmp_path)


def test_serving_works_with_the_oldest_dependencies(serving: Path, tmp_path: Path) -> None:
    _check_serving(serving, tmp_path)


def _check_serving(python: Path, folder: Path) -> None:
    """Every command of `sxvae-runtime`, and every route of its REST API."""
    bundle = Path(shutil.copytree(SERVED, folder / "bundle"))
    command = (python, "-I", "-m", "sxvae_runtime")
    for name, *options in (["verify"], ["inspect", "--json"], ["sample", "--out", "x.png"]):
        subprocess.run([*command, name, bundle, *options], cwd=folder, check=True)
    options = ["--port", "0"]
    with subprocess.Popen(
        [*command, "serve", bundle, *options], stderr=subprocess.PIPE, text=True, cwd=folder
    ) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            url = line.rpartition(" ")[2].strip()
            assert url.startswith("http://"), line + server.stderr.read()
            drawn = _post(f"{url}/sample", {"n": 2, "seed": 0})
            encoded = _post(f"{url}/encode", {"x": drawn["x"]})
            decoded = _post(f"{url}/decode", {"z": encoded["mean_direction"]})
            assert len(decoded["x"]) == 2
            ends = {"z0": drawn["z"][0], "z1": drawn["z"][1], "steps": 3}
            assert len(_post(f"{url}/interpolate", ends)["x"]) == 3
            for path in ("/v2", "/metrics", "/docs", "/openapi.json"):
                with urllib.request.urlopen(f"{url}{path}", timeout=20) as response:
                    assert response.status == 200
        finally:
            server.terminate()
        assert server.wait(20) == 0


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        content: dict[str, Any] = json.load(response)
    return content


def test_without_the_extra_the_command_names_it(python: Path, tmp_path: Path) -> None:
    script = python.parent / "sxvae-runtime"
    done = subprocess.run([script, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "sxvae-runtime: the command needs packages that are not installed (typer, rich): "
        'pip install "sxvae-runtime[serve]"\n'
    )


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


def test_an_override_of_uv_leaves_only_the_other_build(tmp_path: Path) -> None:
    """The one in docs/applications.md, resolved against the package index."""
    guide = (ROOT / "docs" / "applications.md").read_text(encoding="utf-8")
    (override,) = re.findall(r'echo "(onnxruntime.*)" > overrides.txt', guide)
    (tmp_path / "overrides.txt").write_text(override)
    (tmp_path / "wanted.in").write_text(f"{EXPORTS}[serve]\nonnxruntime-gpu\n")
    command = (
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--no-annotate",
        "--override",
        "overrides.txt",
    )
    done = subprocess.run(
        [*command, "wanted.in"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip(f"the package index can't be reached: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert {"onnxruntime-gpu", "numpy", "fastapi"} <= names
    assert "onnxruntime" not in names


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
