"""The two distributions, installed as users install them, in environments of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

from sxvae_runtime import __version__
from tests.installing import Environment, build_wheel, copy_sources, requirements

BUNDLE = Path(__file__).parent / "sxvae_runtime" / "fixtures" / "bundle_v1_sampler"
TINY = (
    *("--z-dims", "2", "--h-dims", "8", "--epochs", "1", "--burn-in", "0", "--kl-warmup", "0"),
    *("--eval-samples", "2", "--name", "a", "--quiet"),
)
# What building in an environment needs.
BUILDING = [Requirement("setuptools")]

Once = Callable[[str, Callable[[Path], None]], Path]


class Wheels(NamedTuple):
    """The wheels of both distributions, in one version."""

    runtime: Path
    sxvae: Path


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, in which builds may leave their traces."""
    return copy_sources(tmp_path_factory.mktemp("clone") / "clone")


@pytest.fixture(scope="module")
def wheels(clone: Path) -> Wheels:
    return _build(clone)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return _build(copy_sources(tmp_path_factory.mktemp("older") / "clone", version="0.0.9"))


def _build(clone: Path) -> Wheels:
    folder = clone.parent / "wheels"
    runtime = build_wheel(clone / "exports", folder / "runtime")
    return Wheels(runtime, build_wheel(clone, folder / "sxvae"))


def _needs(*wheels: Path, extra: str = "") -> list[Requirement]:
    """The dependencies of wheels that apply here, but for each other."""
    found = []
    for requirement in (each for wheel in wheels for each in requirements(wheel)):
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        if applies and "sxvae" not in requirement.name:
            requirement.marker = None
            found.append(requirement)
    return found


def test_install_train_install_editable_evaluate_uninstall(
    tmp_path: Path, clone: Path, wheels: Wheels
) -> None:
    """The README's two ways to install, one over the other, leave nothing behind."""
    environment = Environment(tmp_path / "environment")
    environment.link([*_needs(*wheels), *BUILDING])
    environment.pip("install", clone / "exports", clone)
    assert environment.installed()["sxvae"] == __version__
    environment.run("sxvae", "train", *TINY, cwd=tmp_path)
    environment.pip("install", "-e", clone / "exports", "-e", clone)
    code = "import sxvae, sxvae_runtime; print(sxvae.__file__, sxvae_runtime.__file__)"
    for path in environment.run("python", "-c", code, cwd=tmp_path).split():
        assert Path(path).is_relative_to(clone)
    found = json.loads(environment.run("sxvae", "eval", "a", "--json", cwd=tmp_path))
    assert found["images"] == 250
    environment.pip("uninstall", "-y", "sxvae", "sxvae-runtime")
    assert environment.files_of_ours() == []


def test_an_upgrade_leaves_nothing_of_the_older_version(
    tmp_path: Path, wheels: Wheels, older: Wheels
) -> None:
    environment = Environment(tmp_path / "environment")
    environment.link(_needs(*wheels))
    environment.pip("install", *older)
    environment.run("sxvae", "train", *TINY, cwd=tmp_path)
    environment.pip("install", "--upgrade", *wheels)
    code = "import sxvae, sxvae_runtime; print(sxvae.__version__, sxvae_runtime.__version__)"
    assert environment.run("python", "-c", code, cwd=tmp_path).split() == [__version__] * 2
    environment.run("sxvae", "eval", "a", "--json", cwd=tmp_path)
    environment.pip("uninstall", "-y", "sxvae", "sxvae-runtime")
    assert environment.files_of_ours() == []


@pytest.mark.parametrize(
    ("removed", "left", "package"),
    [("sxvae", "sxvae-runtime", "sxvae_runtime"), ("sxvae-runtime", "sxvae", "sxvae")],
)
def test_uninstalling_one_leaves_the_other_whole(
    tmp_path: Path, wheels: Wheels, removed: str, left: str, package: str
) -> None:
    environment = Environment(tmp_path / "environment")
    environment.link(_needs(*wheels))
    environment.pip("install", *wheels)
    environment.pip("uninstall", "-y", removed)
    assert left in environment.installed()
    assert removed not in environment.installed()
    (distribution,) = metadata.distributions(name=left, path=[str(environment.packages)])
    files = [Path(str(file.locate())) for file in distribution.files or ()]
    assert any(path.parent.name == package for path in files)
    assert all(path.exists() for path in files)


@contextmanager
def _served(environment: Environment, bundle: Path) -> Iterator[str]:
    """The address of a server of the environment."""
    process = subprocess.Popen(
        [environment.scripts / "sxvae-runtime", "serve", bundle, "--port", "0"],
        cwd=bundle.parent,
        stderr=subprocess.PIPE,
        text=True,
        env=environment.environ(),
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"http://\S+", line)
        assert address, line + process.stderr.read()
        yield address[0]
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_runtime_serves_in_an_environment_without_pytorch(
    tmp_path: Path, clone: Path, wheels: Wheels
) -> None:
    environment = Environment(tmp_path / "environment")
    environment.link([*_needs(wheels.runtime, extra="serve"), *BUILDING])
    environment.pip("install", f"{clone / 'exports'}[serve]")
    assert not {"torch", "sxvae", "numba", "onnx", "scipy"} & environment.installed().keys()
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    command = "sxvae-runtime"
    assert "is sound" in environment.run(command, "verify", bundle, cwd=tmp_path)
    assert "decoder.onnx" in environment.run(command, "inspect", bundle, cwd=tmp_path)
    assert environment.run(command, "sample", bundle, "--out", "x.png", cwd=tmp_path) == "x.png\n"
    with _served(environment, bundle) as url:
        request = urllib.request.Request(f"{url}/sample", b'{"n": 2}')
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as response:
            assert len(json.load(response)["z"]) == 2
        with urllib.request.urlopen(f"{url}/v2", timeout=20) as response:
            assert json.load(response)["version"] == __version__


def test_another_build_of_onnxruntime_takes_the_place_of_the_usual_one(
    tmp_path: Path, wheels: Wheels
) -> None:
    """The steps of docs/applications.md, with the usual build packed as `onnxruntime-gpu`."""
    environment = Environment(tmp_path / "environment")
    needs = _needs(wheels.runtime)
    builds = [Requirement(text) for text in metadata.requires("onnxruntime") or []]
    environment.link([each for each in [*needs, *builds] if each.name != "onnxruntime"])
    usual = _repacked_onnxruntime(tmp_path, "onnxruntime")
    other = _repacked_onnxruntime(tmp_path, "onnxruntime_gpu")
    environment.pip("install", usual, wheels.runtime)
    environment.pip("uninstall", "-y", "onnxruntime")
    code = "import sxvae_runtime as s; print(s.load('bundle').verify())"
    shutil.copytree(BUNDLE, tmp_path / "bundle")
    python = environment.scripts / "python"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "MissingPackageError: sxvae_runtime needs onnxruntime" in done.stderr
    assert "pip install onnxruntime" in done.stderr
    environment.pip("install", other)
    assert "onnxruntime" not in environment.installed()
    assert "onnxruntime-gpu" in environment.installed()
    assert float(environment.run("python", "-c", code, cwd=tmp_path)) < 1e-4


def _repacked_onnxruntime(folder: Path, name: str) -> Path:
    """A wheel with the running environment's onnxruntime in it, under the distribution's name."""
    version = metadata.version("onnxruntime")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for file in metadata.files("onnxruntime") or ():
            if file.parts[0] == "onnxruntime" and file.suffix != ".pyc":
                archive.write(str(file.locate()), str(file))
        header = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", header)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "".join(f"{n},,\n" for n in archive.namelist()))
    return path
