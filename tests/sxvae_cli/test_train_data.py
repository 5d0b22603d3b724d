"""`sxvae train` and `sxvae eval` on a user's own images."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sxvae_runtime
from sxvae import DataSettings
from sxvae.data import load_again
from sxvae_cli.app import app
from sxvae_export import export_bundle

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

SHORT = (
    *("--epochs", "1", "--burn-in", "0", "--kl-warmup", "0", "--eval-samples", "5"),
    *("--h-dims", "8", "--z-dims", "2"),
)


def _colour_folder(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label, size in (("cats", 12), ("dogs", 10)):
        (folder / label).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 256, (size, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")


def test_a_colour_folder_from_training_to_a_change(cli: Cli, tmp_path: Path) -> None:
    _colour_folder(tmp_path / "my pets")
    cli("train", *SHORT, "--dataset", "my pets", "--image-size", "8,6", "--quiet")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("my_pets-S2-")
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["input_shape"] == [3, 8, 6]
    assert config["data"]["dataset"] == str(tmp_path / "my pets")
    assert config["data"]["image_size"] == [8, 6]
    stored = config["data"]["content_sha256"]
    assert len(stored) == 64

    quick = ("--samples", "2", "--json")
    before = cli("eval", run, *quick)
    assert _on_collapse_alone(before.stderr)
    (tmp_path / "my pets" / "cats" / "0.png").unlink()
    after = cli("eval", run, *quick)
    assert json.loads(after.stdout)["images"] == 3  # of 39, not of 40
    line = after.stderr.splitlines()[0]
    assert "are not those that the model was trained on" in line
    assert stored[:12] in line
    done = cli("train", "--resume", run, "--epochs", "2", code=1)
    (line,) = done.stderr.splitlines()
    assert "put them back, or train another model" in line


def _on_collapse_alone(said: str) -> bool:
    """Whether nothing was remarked on but what a factor has learned in so short a training."""
    return all("has collapsed: its mutual information" in line for line in said.splitlines())


def test_training_in_the_folder_of_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs, pictures and embeddings come to lie among the data, and do not join them."""
    for label, first in (("cats", 0), ("dogs", 60)):
        (tmp_path / label).mkdir()
        for i in range(60):
            grey = np.full((4, 4), 255 - first - i, np.uint8)
            Image.fromarray(grey).save(tmp_path / label / f"{i}.png")
    monkeypatch.chdir(tmp_path)

    def sxvae(*args: str) -> tuple[str, str]:
        code = app(list(args), standalone_mode=False)
        assert not code
        captured = capsys.readouterr()
        return captured.out, captured.err

    _, said = sxvae("train", "--dataset", ".", *SHORT, "--eval-samples", "2", "--name", "a")
    assert f"read 120 pictures of 2 classes from {tmp_path}" in said.splitlines()
    sxvae("sample", "a")
    sxvae("reconstruct", "a")
    sxvae("plot", "embedding", "a", "--out", "codes.svg")
    assert {"cats", "dogs"} <= set(re.findall(r">([^<]+)</text>", Path("codes.svg").read_text()))
    sxvae("train", "--resume", "a", "--epochs", "2")
    shown, said = sxvae("eval", "a", "--samples", "2", "--json")
    assert _on_collapse_alone(said)
    assert json.loads(shown)["images"] == 12
    sxvae("encode", "a", "--out", "codes.csv")
    lines = (tmp_path / "codes.csv").read_text().splitlines()
    assert lines[0].startswith("label,class,loc_0")
    assert {tuple(line.split(",")[:2]) for line in lines[1:]} == {("0", "cats"), ("1", "dogs")}
    _, said = sxvae("train", "--dataset", ".", *SHORT, "--eval-samples", "0", "--name", "b")
    assert (
        f"read 120 pictures of 2 classes from {tmp_path}; left out: 2 with another suffix "
        "(codes.csv, codes.svg), 3 written by sxvae (reconstructions.png, runs, samples.png)"
    ) in said.splitlines()
    assert _stored(tmp_path / "runs" / "a") == _stored(tmp_path / "runs" / "b")


def _stored(run: Path) -> tuple[str, list[str]]:
    """The hash of the data and the names of the classes in a run's settings."""
    data = json.loads((run / "config.json").read_text())["data"]
    return data["content_sha256"], data["class_names"]


def test_an_array_with_channels_last_that_moves(cli: Cli, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((30, 8, 8, 3), dtype=np.float32)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(30))
    own = ("--dataset", "own.npz", "--split-seed", "3", "--name", "a")
    done = cli("train", *SHORT, *own, code=1)
    assert "say so with --channels-last" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.npz"]

    cli("train", *SHORT, *own, "--channels-last", "--quiet")
    config = tmp_path / "runs" / "a" / "config.json"
    content = json.loads(config.read_text())
    assert content["model"]["input_shape"] == [3, 8, 8]
    assert content["data"]["split_seed"] == 3
    # Another data set does not take over what this one needed.
    cli("train", "--config", config, "--dataset", "digits", "--name", "b", "--quiet")

    (tmp_path / "archive").mkdir()
    (tmp_path / "own.npz").rename(tmp_path / "archive" / "own.npz")
    done = cli("eval", "a", "--samples", "2", code=1)
    assert "name the folder that holds own.npz now with --data-dir" in done.stderr
    done = cli("eval", "a", "--samples", "2", "--data-dir", "archive")
    assert "3 of " in done.stdout
    assert _on_collapse_alone(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--channels-last",), 2, "--channels-last: it is for your own images at a path"),
        (("--dataset", "omniglot", "--data-dir", "."), 1, "chardata.mat is not in "),
    ],
)
def test_data_that_cannot_be_are_refused_in_a_sentence(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = cli("train", *arguments, code=code)
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_levels_and_names_go_from_training_to_the_bundle(cli: Cli, tmp_path: Path) -> None:
    """12 bits in a file with names and splits of its own."""
    x = np.random.default_rng(0).integers(0, 4_096, (20, 6, 6), np.uint16)
    np.savez(tmp_path / "own.npz", train_scans=x, x_train=x[:2], kinds=["low", "high"] * 10)
    own = ("--dataset", "own.npz", "--images-key", "train_scans", "--labels-key", "kinds")
    done = cli("train", *SHORT, *own, "--levels", "4096", "--name", "a")
    remark = "own.npz was read as images 'train_scans' with the labels 'kinds'; 'x_train' not read"
    assert remark in done.stderr.splitlines()
    stored = json.loads((tmp_path / "runs" / "a" / "config.json").read_text())["data"]
    assert (stored["levels"], stored["class_names"]) == (4_096, ["high", "low"])
    again = load_again(DataSettings.read(stored))
    assert again.train.images(slice(None)).max() > 0.99

    bundle = export_bundle(tmp_path / "runs" / "a" / "best.safetensors", tmp_path / "bundle").path
    app = sxvae_runtime.load(bundle)
    assert app.manifest.levels == 4_096
    expected = app.encode(x[:3, None] / 4_095).mean_direction
    np.testing.assert_allclose(app.encode(x[:3, None]).mean_direction, expected, atol=1e-6)
