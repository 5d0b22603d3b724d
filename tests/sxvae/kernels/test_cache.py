"""The compiled code's cache, by what processes of their own load, compile, leave and say."""

from __future__ import annotations

import compileall
import hashlib
import json
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

PACKAGE = Path(sxvae.__file__).parent
NOBODY, UNLISTED = 65_534, 54_321  # another user, and one who is not in the list of users

# What two small functions compute, and how many of them were loaded and compiled.
SCRIPT = """
import json
import numpy as np
from sxvae.kernels.random_bits import mix, uniform

result = uniform(mix(np.uint64(7)))
hits, misses = (
    sum(sum(getattr(function.stats, kind).values()) for function in (mix, uniform))
    for kind in ("cache_hits", "cache_misses")
)
print(json.dumps({"result": result, "loaded": hits, "compiled": misses}))
"""
ALL = 2
# The same of a function that contains the code of another one.
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


def _environment(home: Path, **changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return {**kept, "XDG_CACHE_HOME": str(home), **changes}


def _told(done: subprocess.CompletedProcess[str], remark: str | None) -> dict[str, Any]:
    """What the script printed; stderr has one line that holds `remark`, or nothing."""
    assert done.returncode == 0, done.stderr
    if remark is None:
        assert done.stderr == ""
    else:
        assert done.stderr.count("\n") == 1, done.stderr
        assert remark in done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _run(
    home: Path,
    remark: str | None = None,
    cwd: Path | None = None,
    script: str = SCRIPT,
    **changes: str,
) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or home.parent,
        env=_environment(home, **changes),
    )
    return _told(done, remark)


def _folders(home: Path) -> list[Path]:
    return sorted((home / "sxvae" / "kernels").iterdir())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of a user who has run the script once."""
    home = tmp_path_factory.mktemp("filled") / "home"
    told = _run(home)
    assert (told["loaded"], told["compiled"]) == (0, ALL)
    return home


@pytest.fixture(scope="module")
def result(filled: Path) -> Any:
    """What the script computes."""
    return _run(filled)["result"]


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    """A copy of `filled` to damage."""
    shutil.copytree(filled, tmp_path / "home")
    return tmp_path / "home"


def test_a_second_process_loads_what_the_first_compiled(home: Path, result: Any) -> None:
    told = _run(home)
    assert told == {"result": result, "loaded": ALL, "compiled": 0}


def test_the_cache_is_private_and_nothing_lies_beside_the_sources(home: Path) -> None:
    (folder,) = _folders(home)
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
    (folder,) = _folders(home)
    for file in folder.iterdir():
        damage(file)
    told = _run(home, remark="is damaged")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    assert _run(home) == {"result": result, "loaded": ALL, "compiled": 0}


def test_processes_that_start_together_leave_a_whole_cache(tmp_path: Path, result: Any) -> None:
    home = tmp_path / "home"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(home),
        )
        for _ in range(4)
    ]
    for process in running:
        out, err = process.communicate()
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert _told(done, None)["result"] == result
    (folder,) = _folders(home)
    assert not list(folder.glob("*.tmp"))
    assert _run(home)["compiled"] == 0


def test_an_edit_of_an_inlined_function_counts(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE / "kernels", copy / "sxvae" / "kernels")
    shutil.copy(PACKAGE / "__init__.py", copy / "sxvae")

    def run(home: str) -> dict[str, Any]:
        return _run(tmp_path / home, cwd=copy, script=INLINING_SCRIPT, PYTHONPATH=str(copy))

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
    told = _run(home, remark="sources", cwd=copy, PYTHONPATH=str(copy))
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    assert not home.exists()


def test_another_processor_has_a_folder_of_its_own(home: Path) -> None:
    told = _run(home, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert told["compiled"] == ALL
    assert len(_folders(home)) == 2


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
    _run(home)
    names = {folder.name for folder in _folders(home)}
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
    _run(tmp_path / "home", cwd=tmp_path / "copy", PYTHONPATH=str(tmp_path / "copy"))
    assert not list(package.rglob("*.nb[ci]"))
    assert not (package / "gone").exists()
    assert (package / "kernels" / "wood.py").exists()


def test_a_file_in_the_folders_place(tmp_path: Path, result: Any) -> None:
    home = tmp_path / "home"
    home.write_text("")
    told = _run(home, remark="can't be kept")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_no_home(tmp_path: Path, result: Any) -> None:
    """Under /proc not even root can make a folder."""
    remark = "can't be kept in /proc/nobody/"
    told = _run(tmp_path / "home", remark=remark, HOME="/proc/nobody", XDG_CACHE_HOME="")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_file_that_cannot_be_read(home: Path, result: Any) -> None:
    (folder,) = _folders(home)
    for file in folder.iterdir():
        file.unlink()
        file.mkdir()
    told = _run(home, remark="can't be kept")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_folder_that_others_can_write_to_is_not_trusted(home: Path, result: Any) -> None:
    (folder,) = _folders(home)
    folder.chmod(0o777)
    told = _run(home, remark="other users can write to it")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


@pytest.mark.parametrize("what", ["folder", "files"])
def test_what_another_user_owns_is_not_trusted(home: Path, result: Any, what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    (folder,) = _folders(home)
    for path in [folder] if what == "folder" else folder.iterdir():
        os.chown(path, NOBODY, NOBODY)
    told = _run(home, remark="belongs to another user")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_user_without_a_home_folder(result: Any) -> None:
    """And without an entry in the list of users, as in containers: ~ stands for itself then."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # This user may not be able to read the environment: what is needed of it is imported before.
    script = f"""
import os
import numba
numba.njit(lambda x: x + 1)(1)
import sxvae.kernels.random_bits
os.setgid({UNLISTED})
os.setuid({UNLISTED})
{SCRIPT}"""
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=env,
    )
    told = _told(done, "the user has no home folder")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def _on_own_file_system(home: Path, steps: str) -> list[subprocess.CompletedProcess[str]]:
    """Run the script once for each `run` in shell commands that may mount file systems."""
    home.mkdir()
    script = home.parent / "script.py"
    script.write_text(SCRIPT)
    mount = f"mount -t tmpfs -o size=20k tmpfs {home}"
    trial = ["unshare", "-rm", "sh", "-c", mount]
    if shutil.which("unshare") is None or subprocess.run(trial, check=False).returncode != 0:
        pytest.skip("a small file system can't be mounted here")
    out = home.parent / "out"
    out.mkdir()
    run = (
        f"n=$((n+1)); {sys.executable} {script} >{out}/$n.out 2>{out}/$n.err; echo $? >{out}/$n.rc"
    )
    commands = ";".join(steps.replace("MOUNT", mount).replace("RUN", run).split("\n"))
    subprocess.run(
        ["unshare", "-rm", "sh", "-ec", f"n=0;{commands}"],
        check=True,
        cwd=home.parent,
        env=_environment(home),
    )
    return [
        subprocess.CompletedProcess(
            [],
            int(rc.read_text()),
            rc.with_suffix(".out").read_text(),
            rc.with_suffix(".err").read_text(),
        )
        for rc in sorted(out.glob("*.rc"))
    ]


def test_a_full_disk(tmp_path: Path, result: Any) -> None:
    """On 20 KB the first function fits, the second does not."""
    home = tmp_path / "home"
    first, second = _on_own_file_system(home, f"MOUNT\nRUN\nRUN\ncp -r {home} {tmp_path}/left")
    told = _told(first, "No space left on device")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    told = _told(second, "No space left on device")
    assert told == {"result": result, "loaded": ALL - 1, "compiled": 1}
    (folder,) = _folders(tmp_path / "left")
    assert not list(folder.glob("*.tmp"))


def test_a_file_system_that_can_only_be_read(tmp_path: Path, filled: Path, result: Any) -> None:
    """What is kept there is of use; what is not is compiled in memory."""
    home = tmp_path / "home"
    (key,) = _folders(filled)
    copied = f"{home}/sxvae/kernels/{key.name}"
    steps = f"""MOUNT
mount -o remount,size=1m {home}
mkdir -p -m 700 {copied}
chmod 700 {home}/sxvae/kernels
cp {key}/* {copied}
mount -o remount,ro {home}
RUN
mount -o remount,rw {home}
rm {copied}/random_bits.uniform*
mount -o remount,ro {home}
RUN
mount -o remount,rw {home}
rm -r {home}/sxvae
mount -o remount,ro {home}
RUN"""
    whole, partly, empty = _on_own_file_system(home, steps)
    assert _told(whole, None) == {"result": result, "loaded": ALL, "compiled": 0}
    told = _told(partly, "Read-only file system")
    assert told == {"result": result, "loaded": ALL - 1, "compiled": 1}
    told = _told(empty, "Read-only file system")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
