"""Processes that start runs and write folders at the same moment, many times over."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sxvae.runs.directory import is_run

# Does a piece of work for each line that it is told, and tells how that ended.
_WORKER = """
import json, os, sys
from pathlib import Path
from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import OutputError
from sxvae.io import folders
from sxvae.io.folders import new_folder
from sxvae.runs.creating import new_run

if "without-exchange" in sys.argv:
    folders.exchange = lambda first, second: False

settings = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)
print("ready", flush=True)
for line in sys.stdin:
    kind, name, force = json.loads(line)
    try:
        if kind == "run":
            with new_run(Path("runs"), name, settings, force) as new:
                new.staged.write_config(settings, {}, str(os.getpid()))
                new.put_in_place()
                new.directory.append_metrics({"epoch": 1, "process": os.getpid()})
                print(json.dumps([True, new.directory.name]), flush=True)
        else:
            with new_folder(Path(name), force, lambda folder: (folder / "0").exists()) as folder:
                for file in range(5):
                    (folder / str(file)).write_text(str(os.getpid()))
            print(json.dumps([True, name]), flush=True)
    except OutputError as error:
        print(json.dumps([False, str(error)]), flush=True)
"""

Result = tuple[bool, str]


class Workers:
    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def at_once(self, *work: tuple[str, str | None, bool]) -> list[Result]:
        """What became of each worker's piece of work."""
        for process, piece in zip(self._processes, work, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(piece) + "\n")
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.flush()
        return [tuple(json.loads(self._read(process))) for process in self._processes]

    def wait_until_ready(self) -> None:
        for process in self._processes:
            assert self._read(process) == "ready\n"

    @staticmethod
    def _read(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()


@contextlib.contextmanager
def _workers(folder: Path, *args: str) -> Iterator[Workers]:
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WORKER, *args],
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        both = Workers(started)
        both.wait_until_ready()
        yield both


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("at-once")


@pytest.fixture(scope="module")
def workers(folder: Path) -> Iterator[Workers]:
    with _workers(folder) as both:
        yield both


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _writers(run: Path) -> tuple[str, list[str]]:
    """Which process wrote config.json, and which ones metrics.jsonl."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    config = json.loads((run / "config.json").read_text())
    return config["started"], [str(json.loads(line)["process"]) for line in lines]


def test_unnamed_runs_are_two_runs(workers: Workers, folder: Path) -> None:
    for _ in range(20):
        results = workers.at_once(("run", None, False), ("run", None, False))
        assert [done for done, _ in results] == [True, True]
    names = _names(folder / "runs")
    assert len(names) == 40
    assert all(is_run(folder / "runs" / name) for name in names)


def test_of_two_runs_of_one_new_name_one_is_refused(workers: Workers, folder: Path) -> None:
    before = _names(folder / "runs")
    for number in range(20):
        name = f"new-{number}"
        results = workers.at_once(("run", name, False), ("run", name, False))
        assert sorted(done for done, _ in results) == [False, True]
        refusal = next(said for done, said in results if not done)
        assert "exists already" in refusal or "is being written by process" in refusal
        started, wrote = _writers(folder / "runs" / name)
        assert wrote == [started]
    assert len(_names(folder / "runs")) == len(before) + 20


def _replace_at_once(workers: Workers, runs: Path) -> None:
    workers.at_once(("run", "replaced", True), ("run", None, False))
    before = _names(runs)
    for _ in range(20):
        results = workers.at_once(("run", "replaced", True), ("run", "replaced", True))
        assert any(done for done, _ in results)
        for done, said in results:
            assert done or "is being written by process" in said
        started, wrote = _writers(runs / "replaced")
        assert wrote == [started]
    assert _names(runs) == before


def test_of_two_that_replace_one_run_each_is_whole_or_refused(
    workers: Workers, folder: Path
) -> None:
    _replace_at_once(workers, folder / "runs")


def test_without_an_exchange_each_is_whole_or_refused_too(tmp_path: Path) -> None:
    with _workers(tmp_path, "without-exchange") as workers:
        _replace_at_once(workers, tmp_path / "runs")
        for _ in range(20):
            results = workers.at_once(("folder", "bundle", True), ("folder", "bundle", True))
            assert [done for done, _ in results] == [True, True]
            assert len({file.read_text() for file in (tmp_path / "bundle").iterdir()}) == 1
    assert _names(tmp_path) == ["bundle", "runs"]


def test_two_folders_at_one_place_or_beside_each_other_are_whole(
    workers: Workers, folder: Path
) -> None:
    for number in range(20):
        for second in ("bundle", "bundle.v2"):
            name, other = f"{number}.bundle", f"{number}.{second}"
            results = workers.at_once(("folder", name, True), ("folder", other, True))
            assert [done for done, _ in results] == [True, True]
            for written in {name, other}:
                content = {file.read_text() for file in (folder / written).iterdir()}
                assert len(content) == 1
        results = workers.at_once(
            ("folder", f"{number}.c", False), ("folder", f"{number}.c", False)
        )
        assert sorted(done for done, _ in results) == [False, True]
    assert len(_names(folder)) == 1 + 3 * 20
