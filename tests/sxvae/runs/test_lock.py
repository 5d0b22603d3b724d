from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sxvae.errors import OutputError
from sxvae.runs.lock import LOCK, locked, refuse_locked
from sxvae_runtime.files import locks

# Holds the lock of the run "a"; in a forked child too, if that is asked for.
_HOLDING = """
import os, sys, time
from pathlib import Path
from sxvae.runs.lock import locked
with locked(Path("a")):
    child = os.fork() if "fork" in sys.argv else None
    if child == 0:
        time.sleep(600)
    print(child, flush=True)
    time.sleep(600)
"""


def _hold(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDING, *args], cwd=folder, stdout=subprocess.PIPE, text=True
    )


def _take(run: Path) -> None:
    with locked(run):
        pass


def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "a"
    run.mkdir()
    with _hold(tmp_path) as first:
        assert first.stdout is not None
        first.stdout.readline()
        said = (
            f"the run {run} is being written by process {first.pid} on {platform.node()}; wait "
            "for it, or stop it"
        )
        for refused in (_take, refuse_locked):
            with pytest.raises(OutputError) as caught:
                refused(run)
            assert str(caught.value) == said
        first.send_signal(signal.SIGKILL)
        first.wait()
        refuse_locked(run)
        _take(run)
    assert list(run.iterdir()) == []


def test_a_child_that_was_forked_does_not_keep_the_lock(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with _hold(tmp_path, "fork") as first:
        assert first.stdout is not None
        child = int(first.stdout.readline())
        first.send_signal(signal.SIGKILL)
        first.wait()
        try:
            _take(tmp_path / "a")
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OutputError, match=f"by process {os.getpid()} on"):
        _take(tmp_path)
    _take(tmp_path)


def test_a_look_makes_nothing_and_needs_no_run(tmp_path: Path) -> None:
    refuse_locked(tmp_path)
    refuse_locked(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def _move(run: Path) -> None:
    run.rename(run.with_name("moved"))


def _delete(run: Path) -> None:
    (run / LOCK).unlink()
    run.rmdir()


def _replace(run: Path) -> None:
    _move(run)
    run.mkdir()
    (run / LOCK).touch()


@pytest.mark.parametrize("lose", [_move, _delete, _replace])
def test_a_run_that_is_not_at_its_place_is_not_written_on(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    run = tmp_path / "a"
    run.mkdir()
    with locked(run) as lock:
        lock.refuse_lost()
        lose(run)
        with pytest.raises(OutputError, match="moved, deleted or replaced"):
            lock.refuse_lost()
    if lose is _replace:
        assert (run / LOCK).exists()  # it is another's


def test_a_file_system_without_locks_is_written_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(descriptor: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(locks, "_lock", unsupported)
    with locked(tmp_path) as lock:
        lock.refuse_lost()
    assert "has no locks" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_no_plain_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / LOCK).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / LOCK)
    (tmp_path / "c" / LOCK).mkdir(parents=True)
    for name in ("a", "b", "c"):
        with pytest.raises(OutputError, match=f"/{name}/{LOCK} is no lock of sxvae"):
            _take(tmp_path / name)
    assert (tmp_path / "elsewhere").read_bytes() == b""
