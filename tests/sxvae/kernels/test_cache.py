"""What the compiled code's cache keeps, for whom, and when it is compiled again."""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sxvae
from tests.sxvae.kernels.conftest import ALL, SCRIPT, environment, key_folders, run_script, told_by

PACKAGE = Path(sxvae.__file__).parent
# What a function computes that contains the code of another one, and how often it was compiled.
INLINING_SCRIPT = """
import json
import numpy as np
from sxvae.kernels.binarization import binarize

binary = np.zeros((4, 8), dtype=np.float32)
binarize(np.full((4, 8), 0.5, dtype=np.float32), np.arange(4), 1.0, 3, binary)
result = binary.astype(int).tolist()
misses = sum(binarize.stats.cache_misses.values())
print(json.dumps({"result": result, "compiled": misses}))
"""


def test_a_second_process_loads_what_the_first_compiled(home: Path, result: Any) -> None:
    told = run_script(home)
    assert told == {"result": result, "loaded": ALL, "compiled": 0}


def test_the_cache_is_private_and_nothing_lies_beside_the_sources(home: Path) -> None:
    (folder,) = key_folders(home)
    for path in (folder.parent, folder, *folder.iterdir()):
        assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    assert not list(PACKAGE.rglob("*.nb[ci]"))


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _garbage(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 40)


def _truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _something_else(file: Path) -> None:
    content = b"whole, but no compiled code"
    file.write_bytes(hashlib.sha256(content).digest() + content)


@pytest.mark.parametrize("damage", [_empty, _garbage, _truncated, _something_else])
def test_damaged_files_are_compiled_again_and_replaced(
    home: Path, result: Any, damage: Callable[[Path], None]
) -> None:
    (folder,) = key_folders(home)
    for file in folder.iterdir():
        damage(file)
    told = run_script(home, remark="is damaged")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    assert run_script(home) == {"result": result, "loaded": ALL, "compiled": 0}


def test_processes_that_start_together_leave_a_whole_cache(tmp_path: Path, result: Any) -> None:
    home = tmp_path / "home"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(home),
        )
        for _ in range(4)
    ]
    for process in running:
        out, err = process.communicate()
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert told_by(done, None)["result"] == result
    (folder,) = key_folders(home)
    assert not list(folder.glob("*.tmp"))
    assert run_script(home)["compiled"] == 0


def test_an_edit_of_an_inlined_function_counts(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE / "kernels", copy / "sxvae" / "kernels")
    shutil.copy(PACKAGE / "__init__.py", copy / "sxvae")

    def run(home: str) -> dict[str, Any]:
        return run_script(tmp_path / home, cwd=copy, script=INLINING_SCRIPT, PYTHONPATH=str(copy))

    old = run("home")
    source = copy / "sxvae" / "kernels" / "random_bits.py"
    before = source.read_text()
    edited = before.replace("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB")
    assert edited != before
    source.write_text(edited)
    new = run("home")
    assert new["result"] != old["result"]
    assert new == run("an empty home")


def test_without_sources_nothing_is_kept(tmp_path: Path, result: Any) -> None:
    """Code that could be stale without anybody's notice is worse than compiling again."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    shutil.copytree(PACKAGE / "kernels", copy / "sxvae" / "kernels")
    shutil.copy(PACKAGE / "__init__.py", copy / "sxvae")
    compileall.compile_dir(copy, quiet=1, legacy=True)
    for source in copy.rglob("*.py"):
        source.unlink()
    told = run_script(home, remark="sources", cwd=copy, PYTHONPATH=str(copy))
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    assert not home.exists()


def test_another_processor_has_a_folder_of_its_own(home: Path) -> None:
    told = run_script(home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert told["compiled"] == ALL
    assert len(key_folders(home)) == 2


def test_unused_keys_are_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    kernels = home / "sxvae" / "kernels"
    ages = {"unused": 40, "used": 20}
    kernels.mkdir(parents=True, mode=0o700)
    for name, days in ages.items():
        (kernels / name).mkdir()
        (kernels / name / "f.kernel").write_bytes(b"")
        then = time.time() - days * 86_400
        os.utime(kernels / name, (then, then))
    run_script(home)
    names = {folder.name for folder in key_folders(home)}
    assert "used" in names
    assert "unused" not in names
    assert len(names) == 2


def test_what_earlier_versions_left_beside_the_sources_is_removed(tmp_path: Path) -> None:
    package = tmp_path / "copy" / "sxvae"
    shutil.copytree(PACKAGE / "kernels", package / "kernels")
    shutil.copy(PACKAGE / "__init__.py", package)
    for folder in (package, package / "kernels", package / "gone"):
        (folder / "__pycache__").mkdir(parents=True, exist_ok=True)
        (folder / "__pycache__" / "old.f-1.py311.nbi").write_bytes(b"")
        (folder / "__pycache__" / "old.f-1.py311.1.nbc").write_bytes(b"")
    run_script(tmp_path / "home", cwd=tmp_path / "copy", PYTHONPATH=str(tmp_path / "copy"))
    assert not list(package.rglob("*.nb[ci]"))
    assert not (package / "gone").exists()
    assert (package / "kernels" / "wood.py").exists()
