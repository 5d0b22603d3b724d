from __future__ import annotations

from pathlib import Path

import pytest

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import CheckpointError, ConfigError, OutputError
from sxvae.runs.directory import (
    RunDirectory,
    created,
    find_checkpoint,
    find_run,
    new_run,
    newest_run,
)

SETTINGS = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)


def _make(runs: Path, name: str, started: str = "2026-01-01") -> RunDirectory:
    run = RunDirectory(runs / name)
    with created(run, force=False):
        run.write_config(SETTINGS, {}, started)
    return run


def test_default_names_say_data_space_and_time(tmp_path: Path) -> None:
    first = new_run(tmp_path, None, SETTINGS, force=False)
    assert first.name.startswith("digits-S4xS4-2")
    assert first.name.endswith("Z")
    assert not first.path.exists()
    first.path.mkdir()
    assert new_run(tmp_path, None, SETTINGS, force=False).name != first.name


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
def test_default_names_take_a_path_s_last_part(tmp_path: Path, dataset: str, start: str) -> None:
    data = DataSettings(dataset=dataset)
    run = new_run(tmp_path, None, SETTINGS.model_copy(update={"data": data}), force=False)
    assert run.name.startswith(start)
    assert run.path.parent == tmp_path


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "/x"])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a run"):
        new_run(tmp_path, name, SETTINGS, force=False)


def test_existing_names_are_replaced_by_force_only_where_ours(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    (run.path / "old").touch()
    with pytest.raises(OutputError, match="--force"):
        new_run(tmp_path, "a", SETTINGS, force=False)
    with created(run, force=True):
        run.write_config(SETTINGS, {}, "2026-02-02")
    assert not (run.path / "old").exists()
    run.config.unlink()
    (run.path / "someone's file").touch()
    with pytest.raises(OutputError, match="not one of ours"):
        new_run(tmp_path, "a", SETTINGS, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_new_run_that_fails_at_once_leaves_the_old_one(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    (run.path / "old").touch()
    with pytest.raises(RuntimeError), created(run, force=True):
        raise RuntimeError
    assert (run.path / "old").exists()


def test_runs_and_checkpoints_are_found(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train a model first"):
        newest_run(tmp_path / "none")
    old = _make(tmp_path, "old", "2026-01-01")
    new = _make(tmp_path, "new", "2026-01-02")
    (tmp_path / "foreign").mkdir()
    assert newest_run(tmp_path) == new
    assert find_run("old", tmp_path) == find_run(old.path, Path("elsewhere")) == old
    with pytest.raises(CheckpointError, match="holds no checkpoint yet"):
        find_checkpoint(None, tmp_path)
    new.last.touch()
    assert find_checkpoint(None, tmp_path) == new.last
    new.best.touch()
    assert find_checkpoint("new", tmp_path) == new.best
    assert find_checkpoint(new.last, tmp_path) == new.last
    with pytest.raises(CheckpointError, match=r"no checkpoint at x\.safetensors"):
        find_checkpoint("x.safetensors", tmp_path)
    with pytest.raises(CheckpointError, match="foreign"):
        find_checkpoint("foreign", tmp_path)


def test_metrics_are_cut_back_to_whole_epochs(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch})
    with run.metrics.open("a") as file:
        file.write('{"epoch": 4, "lo')
    for restart in (1, 2):
        run.append_restart({"restart": restart})
    (run.path / ".best.safetensors.abc.tmp").touch()
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2, 3]
    run.cut_back(2, restarts=1)
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2]
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.json",
        "metrics.jsonl",
        "restarts.jsonl",
    ]
    assert run.restarts.read_text() == '{"restart": 1}\n'
