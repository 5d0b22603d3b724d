"""Names and paths as users give them, and as files of other people do."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, TrainingSettings, fit, load, load_data
from sxvae.config import DataSettings
from sxvae.errors import CheckpointError, ConfigError, OutputError
from sxvae.evaluation.embeddings import embed, write_embeddings
from sxvae.plotting import save_png
from sxvae.plotting.report import build_report, training_figure
from sxvae.runs.checkpoint import read_checkpoint, write_checkpoint
from sxvae.runs.directory import RunDirectory, find_checkpoint, find_run
from sxvae_cli.app import run as run_app
from sxvae_export import export_bundle, write_model_repository
from sxvae_runtime.user_paths import user_path

Said = Callable[..., tuple[int, str, str]]

EVIL = "\x1b]0;title\x07\u202ea\x9b2J\x7f"
ESCAPED = r"\x1b]0;title\x07\u202ea\x9b2J\x7f"


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Said:
    """Run `sxvae` in this process; gives its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sxvae", *map(str, arguments)])
        code = run_app(lambda: False)
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data("digits")


@pytest.fixture
def evil_run(trained: Path, tmp_path: Path) -> Path:
    """A run of somebody else, whose name and texts steer a terminal."""
    run = tmp_path / "runs" / f"[bold]{EVIL}"
    shutil.copytree(trained, run)
    for name in ("config.json", "evaluation.json"):
        content = json.loads((run / name).read_text())
        content.get("data", content)["dataset"] = f"[link=x]{EVIL}"
        (run / name).write_text(json.dumps(content))
    return run


def test_texts_of_files_do_not_steer_the_terminal(said: Said, evil_run: Path) -> None:
    code, out, err = said("train", "--resume", evil_run)
    assert code == 0
    assert f"[link=x]{ESCAPED}" in out
    assert f"[bold]{ESCAPED} is finished" in err
    assert not {*EVIL} & {*out, *err} - {*ESCAPED}
    code, out, err = said("inspect", evil_run)
    assert code == 0
    assert f"[bold]{ESCAPED}" in re.sub(r"[\s│]", "", out)  # the table may break a path
    code, out, err = said("eval", f"[bold]{EVIL}x")
    assert code == 1
    assert f"run [bold]{ESCAPED}x" in err


def test_texts_of_files_do_not_reverse_a_report(evil_run: Path) -> None:
    import numpy as np

    from sxvae.models.autoencoder import TorchAutoencoder

    run = RunDirectory(evil_run)
    model, _ = load(run.best)
    page = build_report(run, TorchAutoencoder(model), np.zeros((4, 1, 8, 8), np.float32), None)
    assert f"[link=x]{ESCAPED}" in page
    assert f"<title>[bold]{ESCAPED}</title>" in page
    assert not {*EVIL} & {*page} - {*ESCAPED}


def test_what_files_of_other_people_lack_or_add_ends_in_no_crash(
    said: Said, evil_run: Path
) -> None:
    run = RunDirectory(evil_run)
    best = read_checkpoint(run.best)
    metadata = {key: value for key, value in best.metadata.items() if key != "epoch"}
    metadata |= {"a": {"dtype": 1, "shape": 3}, "b": {"dtype": "F32", "shape": [{}]}}
    write_checkpoint(run.best, best.tensors, metadata)
    assert said("inspect", evil_run)[0] == 0
    assert training_figure(run).axes
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    lines[-1]["val_kl_per_factor"] = [1.0]
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(CheckpointError, match=r"is of another model: in epoch .* 1 entries, not 3"):
        training_figure(run)


@pytest.mark.parametrize("name", ["a\0", "a\nb", "\x1b[2J", "a\u202e", "a\udcff", "\x9b"])
def test_a_new_run_has_a_name_that_can_be_printed(
    said: Said, digits: ImageData, tmp_path: Path, name: str
) -> None:
    model = ProductSpaceVAE(ProductSpace.parse("2"), digits.image_shape, (4,))
    with pytest.raises(ConfigError, match="is no name for a run"):
        fit(model, digits, TrainingSettings(epochs=1), name=name, runs_dir=tmp_path / "runs")
    code, _, err = said("train", "--name", name)
    assert code == 2
    assert "is no name for a run" in err
    assert err.isprintable() or err.rstrip("\n").isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(
    said: Said,
    digits: ImageData,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    (home / "runs").mkdir(parents=True)
    shutil.copytree(trained, home / "runs" / "run")
    monkeypatch.setenv("HOME", str(home))
    code, out, _ = said("sample", "--runs-dir=~/runs", "--out=~/x.png")
    assert (code, out) == (0, f"{home}/x.png\n")
    assert said("inspect", "~/runs/run")[0] == 0
    assert load("~/runs/run/best.safetensors")[1].model.z_dims == (4, 2, 4)
    model = ProductSpaceVAE(ProductSpace.parse("2"), digits.image_shape, (4,))
    with pytest.raises(OutputError, match=f"{home}/runs/run exists already"):
        fit(model, digits, TrainingSettings(epochs=1), name="run", runs_dir="~/runs")
    for arguments in (("--data-dir=~/d",), ()):
        monkeypatch.setenv("SXVAE_DATA_DIR", "~/d")
        assert f"{home}/d/omniglot" in said("train", "--dataset", "omniglot", *arguments)[2]
    assert f"{home}/x.npy" in said("train", "--dataset=~/x.npy")[2]
    assert DataSettings.read({"data_dir": "~/d", "dataset": "~draft.npy"}).data_dir == f"{home}/d"
    assert user_path("~draft.npy") == Path("~draft.npy")
    bundle = export_bundle("~/runs/run/best.safetensors", "~/bundle").path
    assert bundle == home / "bundle"
    assert write_model_repository("~/bundle", "~/triton") == home / "triton"
    save_png(Image.new("L", (2, 2)), "~/grid.png")
    assert (home / "grid.png").is_file()
    model, _ = load("~/runs/run/best.safetensors")
    write_embeddings(embed(model, digits, limit=3), "~/codes.npz")
    assert (home / "codes.npz").is_file()
    assert not (tmp_path / "~").exists()


def test_without_a_home_folder_a_tilde_is_refused(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("SXVAE_DATA_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", _nobody)
    code, _, err = said("eval", "--runs-dir=~/x")
    assert code == 2
    assert "~/x: the home folder that ~ stands for is not known here; set HOME" in err
    with pytest.raises(ConfigError, match="name a folder with --data-dir"):
        load_data("mnist")


def _nobody(number: int) -> Any:
    raise KeyError(number)


def test_a_runs_name_wins_over_what_is_no_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = Path("runs")
    shutil.copytree(trained, runs / "a")
    Path("a").write_text("no run")
    assert find_checkpoint("a", runs) == runs / "a" / "best.safetensors"
    Path("a").unlink()
    Path("a").mkdir()
    assert find_run("a", runs).path == runs / "a"
    shutil.copytree(trained, "a", dirs_exist_ok=True)
    with caplog.at_level(logging.WARNING, "sxvae"):
        assert find_run("a", runs).path == Path("a")
    assert f"{tmp_path}/a and {tmp_path}/runs/a are both runs" in caplog.text


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "x" * 300),
        ("train", "--resume", "x" * 300),
        ("inspect", "x" * 300),
        ("sample", "x" * 300),
        ("plot", "training", "x" * 300),
        ("report", "--runs-dir", "x" * 300),
        ("train", "--dataset", "mnist", "--data-dir", "x" * 300),
    ],
)
def test_a_name_that_the_system_refuses_is_one_sentence(
    said: Said, command: tuple[str, ...]
) -> None:
    code, out, err = said(*command)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "x" * 300 in err
    assert err.endswith(" can't be used (File name too long)\n")
