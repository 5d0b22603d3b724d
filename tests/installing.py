"""Wheels of both distributions from copies of their sources, and environments to install them in.

Nothing is downloaded: what the distributions depend on is linked from the environment that runs
the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email import message_from_string
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
EXPORTS = ROOT / "exports"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
_UNWANTED = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", "build", "built_page", "node_modules"
)


def copy_sources(clone: Path, *folders: str, version: str | None = None) -> Path:
    """A copy of the repository's packages, without a built page.

    Args:
        clone: the folder to make.
        folders: what to copy beside the packages, such as "web".
        version: the copy's version, the repository's if None.
    """
    clone.mkdir(parents=True)
    for name in _FILES:
        shutil.copy(ROOT / name, clone)
    for name in ("sxvae", "cli", "exports", *folders):
        shutil.copytree(ROOT / name, clone / name, ignore=_UNWANTED)
    if version is not None:
        code = f'"""Of the tests."""\n\n__version__ = "{version}"\n'
        (clone / "exports" / "sxvae_runtime" / "_version.py").write_text(code)
    return clone


def build_wheel(source: Path, folder: Path, **environment: str) -> Path:
    """The wheel of a source folder or source distribution, in a new folder of its own."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder))
    subprocess.run(
        [*PIP, "wheel", "--quiet", *options, str(source)],
        check=True,
        env={**os.environ, **environment},
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def file_names(wheel: Path) -> set[str]:
    """The files of a wheel's packages."""
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def requirements(wheel: Path) -> list[Requirement]:
    """What a wheel depends on, extras included."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = message_from_string(archive.read(name).decode())
    return [Requirement(text) for text in fields.get_all("Requires-Dist", [])]


class Environment:
    """A virtual environment without pip, which the running one's pip fills.

    Attributes:
        scripts: the folder of its commands.
        packages: the folder of its packages.
    """

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.scripts = folder / "bin"
        (self.packages,) = folder.glob("lib/python3*/site-packages")
        self._home = folder / "home"
        self._home.mkdir()

    def link(self, wanted: Iterable[Requirement]) -> None:
        """Link the running environment's distributions, with all that they need."""
        for name in _closure(wanted):
            distribution = metadata.distribution(name)
            for file in distribution.files or ():
                top = file.parts[0]
                if top not in ("..", "__pycache__") and not (self.packages / top).exists():
                    (self.packages / top).symlink_to(Path(str(distribution.locate_file(top))))

    def pip(self, *arguments: str | Path) -> str:
        """Run pip on this environment, without an index, and give what it prints."""
        command = [*PIP, "--python", str(self.scripts / "python"), *map(str, arguments)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"},
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def installed(self) -> dict[str, str]:
        """The distributions and their versions."""
        lines = self.pip("list", "--format", "freeze").split()
        return dict(line.lower().replace("_", "-").split("==") for line in lines)

    def environ(self) -> dict[str, str]:
        """The environment variables of its processes, with a home of their own for caches."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "XDG_"))}
        return {**inherited, "HOME": str(self._home), "OMP_NUM_THREADS": "1"}

    def run(self, command: str, *arguments: str | Path, cwd: Path) -> str:
        """Run one of its commands, which has to succeed, and give what it prints."""
        done = subprocess.run(
            [self.scripts / command, *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            env=self.environ(),
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def files_of_ours(self) -> list[Path]:
        """What the two distributions have here: packages, metadata, commands."""
        found = [path for path in self.packages.rglob("*") if "sxvae" in str(path.name)]
        return found + [path for path in self.scripts.iterdir() if "sxvae" in path.name]


def _closure(wanted: Iterable[Requirement]) -> set[str]:
    """The names of distributions, with those that they need in turn."""
    names: set[str] = set()
    todo = [(requirement, "") for requirement in wanted]
    seen: set[str] = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        names.add(requirement.name)
        for wanted_extra in ("", *requirement.extras):
            key = f"{requirement.name}[{wanted_extra}]"
            if key not in seen:
                seen.add(key)
                needed = metadata.requires(requirement.name) or []
                todo += [(Requirement(text), wanted_extra) for text in needed]
    return names
