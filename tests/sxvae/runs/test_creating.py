from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import CheckpointError, ConfigError, OutputError
from sxvae.runs.config_file import read_config
from sxvae.runs.creating import new_run, refuse_name
from sxvae.runs.directory import (
    RunDirectory,
    find_checkpoint,
    is_run,
    newest_run,
)
from sxvae.runs.lock import LOCK

SETTINGS = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)


def _make(
    runs: Path, name: str | None, started: str = "2026-01-01", *, force: bool = False
) -> RunDirectory:
    with new_run(runs, name, SETTINGS, force) as new:
        new.staged.write_config(SETTINGS, {}, started)
        new.put_in_place()
    return RunDirectory(new.directory.path)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_automatic_names_say_data_space_and_time_and_differ_within_a_second(
    tmp_path: Path,
) -> None:
    names = [_make(tmp_path, None).name for _ in range(20)]
    assert len(set(names)) == 20
    for name in names:
        assert re.fullmatch(r"digits-S4xS4-2\d{7}T\d{6}Z-[0-9a-f]{6}", name)
    times = [name[:-7] for name in names]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("dataset", "start"),
    [
        ("/data/own.v2.npz", "own.v2-S4xS4-2"),
        ("images/my.cats", "my.cats-S4xS4-2"),
        ("my pets & [others]", "my_pets_others_-S4xS4-2"),
        ("/data/.hidden.npy", "hidden-S4xS4-2"),
        ("..", "images-S4xS4-2"),
        ("/", "images-S4xS4-2"),
        ("é" * 120 + ".npy", "é" * 40 + "-S4xS4-2"),
    ],
)
def test_automatic_names_take_a_path_s_last_part(tmp_path: Path, dataset: str, start: str) -> None:
    data = DataSettings(dataset=dataset)
    settings = SETTINGS.model_copy(update={"data": data})
    with new_run(tmp_path, None, settings, force=False) as new:
        assert new.directory.name.startswith(start)
        assert new.directory.path.parent == tmp_path


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "/x", " ", "~", "~root"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a run"):
        refuse_name(tmp_path, name, force=False)


def test_a_run_appears_at_once_with_its_config_and_its_lock_held(tmp_path: Path) -> None:
    with new_run(tmp_path / "runs", "a", SETTINGS, force=False) as new:
        new.staged.write_config(SETTINGS, {}, "2026-01-01")
        path = new.directory.path
        assert not path.exists()
        new.put_in_place()
        assert _names(path) == [LOCK, "config.json"]
        assert _names(path.parent) == ["a"]
        with pytest.raises(OutputError, match="is being written by process"):
            refuse_name(path.parent, "a", force=True)
    assert _names(path) == ["config.json"]


def test_existing_names_are_replaced_by_force_only_where_ours(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    (run.path / "old").touch()
    with pytest.raises(OutputError, match="--force"):
        _make(tmp_path, "a")
    _make(tmp_path, "a", force=True)
    assert _names(run.path) == ["config.json"]
    run.config.unlink()
    (run.path / "someone's file").touch()
    with pytest.raises(OutputError, match="not one of ours"):
        _make(tmp_path, "a", force=True)
    assert _names(tmp_path) == ["a"]


def test_a_new_run_that_fails_at_once_leaves_the_old_one(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    (run.path / "old").touch()
    with pytest.raises(RuntimeError), new_run(tmp_path, "a", SETTINGS, force=True):
        raise RuntimeError
    assert _names(run.path) == ["config.json", "old"]
    assert _names(tmp_path) == ["a"]


def test_a_new_run_that_fails_leaves_a_run_that_another_made_meanwhile(tmp_path: Path) -> None:
    with new_run(tmp_path, "a", SETTINGS, force=False) as late:
        late.staged.write_config(SETTINGS, {}, "2026-01-02")
        _make(tmp_path, "a")
        with pytest.raises(OutputError, match="exists already"):
            late.put_in_place()
    assert newest_run(tmp_path).name == "a"
    assert is_run(tmp_path / "a")
    assert _names(tmp_path) == ["a"]


def test_the_run_that_a_link_names_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk"
    _make(elsewhere, "kept")
    (elsewhere / "kept" / "old").touch()
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "a").symlink_to(elsewhere / "kept")
    _make(runs, "a", force=True)
    assert (runs / "a").is_symlink()
    assert _names(elsewhere / "kept") == ["config.json"]
    assert _names(elsewhere) == ["kept"]
    (runs / "b").symlink_to(tmp_path / "nowhere")
    for folder, name in ((runs, "b"), (runs / "b", "a"), (runs / "b", None)):
        with pytest.raises(OutputError, match="b is a link to something that is not there"):
            _make(folder, name, force=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_run_is_not_replaced_from_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _make(tmp_path, "a")
    monkeypatch.chdir(run.path)
    with pytest.raises(OutputError, match="in another folder"):
        _make(Path(".."), "a", force=True)
    assert is_run(tmp_path / "a")


_KILLED = """
import os, signal, sys
from pathlib import Path
from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.io import folders
from sxvae.runs.config_file import read_config
from sxvae.runs.creating import new_run
settings = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)
folders.exchange = lambda first, second: False
renamed = folders._renamed
def killed(folder, place):
    return renamed(folder, place) if place.exists() else os.kill(os.getpid(), signal.SIGKILL)
folders._renamed = killed
with new_run(Path("runs"), "a", settings, True) as new:
    new.staged.write_config(settings, {}, "new")
    new.put_in_place()
"""


@pytest.mark.parametrize("look", ["newest", "checkpoint", "config"])
def test_whoever_looks_for_a_run_that_was_being_replaced_finds_the_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, look: str
) -> None:
    """Where a file system can't exchange two names, after a kill between the two steps."""
    runs = tmp_path / "runs"
    _make(runs, "a", "old")
    killed = subprocess.run([sys.executable, "-c", _KILLED], cwd=tmp_path, check=False)
    assert killed.returncode < 0
    assert not (runs / "a").exists()
    if look == "newest":
        assert newest_run(runs).name == "a"
    elif look == "checkpoint":
        with pytest.raises(CheckpointError):
            find_checkpoint(runs / "a" / "best.safetensors", runs)
    assert read_config(runs / "a" / "config.json")["started"] == "new"
    assert "a was being replaced" in caplog.text
    _make(runs, "b")
    assert _names(runs) == ["a", "b"]
