from __future__ import annotations

from pathlib import Path

import pytest

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import CheckpointError, OutputError
from sxvae.runs.creating import new_run
from sxvae.runs.directory import RunDirectory, find_checkpoint, find_run, newest_run
from sxvae_runtime.files.staging import staging

SETTINGS = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)


def _make(runs: Path, name: str, started: str = "2026-01-01") -> RunDirectory:
    with new_run(runs, name, SETTINGS, force=False) as new:
        new.staged.write_config(SETTINGS, {}, started)
        new.put_in_place()
    return RunDirectory(runs / name)


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


def test_a_runs_lines_are_written_through_no_link(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    for path, append in ((run.metrics, run.append_metrics), (run.restarts, run.append_restart)):
        path.symlink_to(tmp_path / "elsewhere")
        run.cut_back(0, restarts=0)
        with pytest.raises(OutputError, match=rf"{path.name} can't be written"):
            append({"epoch": 1})
    assert not (tmp_path / "elsewhere").exists()


def test_metrics_that_can_not_be_removed_are_one_sentence(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    run.evaluation.mkdir()
    with pytest.raises(OutputError, match=r"evaluation\.json can't be written"):
        run.remove_evaluation()


def test_metrics_are_cut_back_to_whole_epochs(tmp_path: Path) -> None:
    run = _make(tmp_path, "a")
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch})
    with run.metrics.open("a") as file:
        file.write('{"epoch": 4, "lo')
    for restart in (1, 2):
        run.append_restart({"restart": restart})
    with staging(run.path) as stage:
        pass
    stage.path.mkdir()  # killed before it held anything
    (run.path / ".mine.tmp").touch()
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2, 3]
    run.cut_back(2, restarts=1)
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2]
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".mine.tmp",
        "config.json",
        "metrics.jsonl",
        "restarts.jsonl",
    ]
    assert run.restarts.read_text() == '{"restart": 1}\n'


def test_a_bundle_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    for target in (tmp_path / "bundle", "bundle"):
        with pytest.raises(CheckpointError, match="bundle is a bundle: name a run or a checkpoint"):
            find_checkpoint(target, tmp_path)
