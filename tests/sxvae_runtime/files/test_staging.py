from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sxvae_runtime.files import locks
from sxvae_runtime.files.staging import MARK, clear_leftovers, staging
from sxvae_runtime.files.whole import write_file

# Works in a staging folder in the working directory until it is killed.
_WORKING = """
import time
from pathlib import Path
from sxvae_runtime.files.staging import staging
with staging(Path(".")) as stage:
    stage.new.write_text("half")
    print(stage.path.name, flush=True)
    time.sleep(600)
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def leftover(tmp_path: Path) -> Path:
    """What a killed process left in `tmp_path`."""
    working = subprocess.Popen(
        [sys.executable, "-c", _WORKING], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    with working:
        assert working.stdout is not None
        folder = tmp_path / working.stdout.readline().strip()
        clear_leftovers(tmp_path)
        write_file(tmp_path / "file", b"content")
        assert _names(folder) == ["new", "owner"]  # its process is alive
        working.send_signal(signal.SIGKILL)
    (tmp_path / "file").unlink()
    return folder


def test_a_staging_folder_is_removed_by_the_next_once_its_process_is_dead(leftover: Path) -> None:
    assert leftover.name.startswith(MARK)
    assert _names(leftover) == ["new", "owner"]
    write_file(leftover.parent / "file", b"content")
    assert _names(leftover.parent) == ["file"]


def _rename(folder: Path) -> Path:
    return folder.rename(folder.with_name(folder.name[:-1] + "_"))


def _add(folder: Path) -> Path:
    (folder / "thesis.tex").touch()
    return folder


def _sign_otherwise(folder: Path) -> Path:
    (folder / "owner").write_text("me")
    return folder


def _remove_owner(folder: Path) -> Path:
    (folder / "owner").unlink()
    return folder


def _link(folder: Path) -> Path:
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(elsewhere)
    return folder


@pytest.mark.parametrize("change", [_rename, _add, _sign_otherwise, _remove_owner, _link])
def test_what_is_not_wholly_ours_stays(leftover: Path, change: Callable[[Path], Path]) -> None:
    changed = change(leftover)
    before = _names(changed)
    write_file(changed.parent / "file", b"content")
    assert _names(changed) == before
    assert (changed / "new").read_text() == "half"


def test_a_kill_before_or_after_there_is_an_owner_leaves_nothing_for_ever(leftover: Path) -> None:
    (leftover / "new").unlink()
    (leftover / "owner").write_text("")
    clear_leftovers(leftover.parent)
    assert _names(leftover.parent) == []
    leftover.mkdir()
    clear_leftovers(leftover.parent)
    assert _names(leftover.parent) == []


def test_without_locks_nobody_can_tell_the_dead_and_nothing_is_removed(
    leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(descriptor: int) -> None:
        raise OSError(37, os.strerror(37))

    monkeypatch.setattr(locks, "_lock", unsupported)
    write_file(leftover.parent / "file", b"content")
    assert _names(leftover.parent) == sorted(["file", leftover.name])
    assert _names(leftover) == ["new", "owner"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert _names(tmp_path) == ["file"]


def test_a_forked_child_leaves_its_parent_s_work_alone(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from sxvae_runtime.files.staging import staging
with staging(Path(".")) as stage:
    child = os.fork()
    if child == 0:
        sys.exit()
    os.waitpid(child, 0)
    print(sorted(path.name for path in stage.path.iterdir()), stage.owner.is_ours)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['owner'] True\n"
    assert _names(tmp_path) == []


def test_new_files_have_the_permissions_that_the_user_s_mask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_two_in_one_process_have_two_staging_folders(tmp_path: Path) -> None:
    with staging(tmp_path) as first, staging(tmp_path) as second:
        assert first.code != second.code
        assert len(_names(tmp_path)) == 2
