"""Where compiled code can't be kept or trusted it is compiled in memory, and one line says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sxvae.kernels.conftest import ALL, SCRIPT, environment, key_folders, run_script, told_by

NOBODY, UNLISTED = 65_534, 54_321  # another user, and one who is not in the list of users


def test_a_file_in_the_folders_place(tmp_path: Path, result: Any) -> None:
    home = tmp_path / "home"
    home.write_text("")
    told = run_script(home, remark="can't be kept")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_no_home(tmp_path: Path, result: Any) -> None:
    """Under /proc not even root can make a folder."""
    remark = "can't be kept in /proc/nobody/"
    told = run_script(tmp_path / "home", remark=remark, HOME="/proc/nobody", XDG_CACHE_HOME="")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_file_that_cannot_be_read(home: Path, result: Any) -> None:
    (folder,) = key_folders(home)
    for file in folder.iterdir():
        file.unlink()
        file.mkdir()
    told = run_script(home, remark="can't be kept")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_folder_that_others_can_write_to_is_not_trusted(home: Path, result: Any) -> None:
    (folder,) = key_folders(home)
    folder.chmod(0o777)
    told = run_script(home, remark="other users can write to it")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


@pytest.mark.parametrize("what", ["folder", "files"])
def test_what_another_user_owns_is_not_trusted(home: Path, result: Any, what: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    (folder,) = key_folders(home)
    for path in [folder] if what == "folder" else folder.iterdir():
        os.chown(path, NOBODY, NOBODY)
    told = run_script(home, remark="belongs to another user")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}


def test_a_user_without_a_home_folder(result: Any) -> None:
    """In containers a user may have no home folder and no entry in the list of users: ~ stays ~."""
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
    told = told_by(done, "the user has no home folder")
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
        env=environment(home),
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
    told = told_by(first, "No space left on device")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
    told = told_by(second, "No space left on device")
    assert told == {"result": result, "loaded": ALL - 1, "compiled": 1}
    (folder,) = key_folders(tmp_path / "left")
    assert not list(folder.glob("*.tmp"))


def test_a_file_system_that_can_only_be_read(tmp_path: Path, filled: Path, result: Any) -> None:
    """What is kept there is of use; what is not is compiled in memory."""
    home = tmp_path / "home"
    (key,) = key_folders(filled)
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
    assert told_by(whole, None) == {"result": result, "loaded": ALL, "compiled": 0}
    told = told_by(partly, "Read-only file system")
    assert told == {"result": result, "loaded": ALL - 1, "compiled": 1}
    told = told_by(empty, "Read-only file system")
    assert told == {"result": result, "loaded": 0, "compiled": ALL}
