"""`sxvae train` as a process: what it prints, leaves and survives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sxvae.runs.checkpoint import read_checkpoint

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

SHORT = ("--epochs", "4", "--burn-in", "1", "--kl-warmup", "2", "--eval-samples", "5")


def _same_best(first: Path, second: Path) -> bool:
    ours, theirs = (read_checkpoint(run / "best.safetensors").tensors for run in (first, second))
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[name], theirs[name]) for name in ours
    )


def test_a_run_from_start_to_test_metrics(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "--z-dims", "4,4", *SHORT)
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("digits-S4xS4-")
    lines = done.stderr.splitlines()
    assert "latent space S^4 x S^4" in lines[0]
    assert lines[5] == "evaluating the best model on 250 test images"
    assert "has collapsed: its mutual information is" in lines[6]  # after so few epochs
    assert len(lines) == 7
    for epoch, line in enumerate(lines[1:5], start=1):
        assert line.startswith(f"epoch {epoch}/4  loss ")
        for metric in ("reconstruction", "KL", "validation ELBO", "time left"):
            assert metric in line
    assert "log-likelihood" in done.stdout
    assert "±" in done.stdout
    config = json.loads((run / "config.json").read_text())
    assert config["given"]["z_dims"] == "4,4"
    assert config["training"]["epochs"] == 4
    assert config["training"]["lr"] == 1e-3
    assert config["started"]


def test_json_and_quiet(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", *SHORT, "--h-dims", "16", "--name", "a", "--json", "--quiet")
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert result["epochs"] == 4
    assert result["evaluation"] == json.loads((tmp_path / "runs/a/evaluation.json").read_text())


def test_config_runs_the_same_settings_again(cli: Cli, tmp_path: Path) -> None:
    cli("train", *SHORT, "--h-dims", "16,8", "--z-dims", "2,1", "--name", "a", "--quiet")
    config = tmp_path / "runs" / "a" / "config.json"
    cli("train", "--config", config, "--name", "b", "--quiet")
    assert _same_best(tmp_path / "runs" / "a", tmp_path / "runs" / "b")
    cli("train", "--config", config, "--seed", "1", "--name", "c", "--quiet")
    assert not _same_best(tmp_path / "runs" / "a", tmp_path / "runs" / "c")
    settings = json.loads((tmp_path / "runs" / "c" / "config.json").read_text())
    assert settings["training"]["seed"] == 1
    assert settings["model"]["z_dims"] == [2, 1]


def test_distribution(cli: Cli, tmp_path: Path) -> None:
    cli(
        "train",
        *SHORT,
        "--h-dims",
        "8",
        "--distribution",
        "power-spherical",
        "--name",
        "a",
        "--quiet",
    )
    config = tmp_path / "runs" / "a" / "config.json"
    families = json.loads(config.read_text())["model"]["distribution"]
    assert families == ["power-spherical", "power-spherical"]
    cli("train", "--config", config, "--z-dims", "3,2,1", "--name", "b", "--quiet")
    model = json.loads((tmp_path / "runs" / "b" / "config.json").read_text())["model"]
    assert model["z_dims"] == [3, 2, 1]
    assert model["distribution"] == ["power-spherical"] * 3


def test_existing_names(cli: Cli, tmp_path: Path) -> None:
    arguments = ("train", *SHORT, "--h-dims", "8", "--name", "a", "--quiet")
    cli(*arguments)
    before = (tmp_path / "runs" / "a" / "config.json").read_text()
    assert "--force" in cli(*arguments, code=1).stderr
    assert (tmp_path / "runs" / "a" / "config.json").read_text() == before
    cli(*arguments, "--force")
    assert (tmp_path / "runs" / "a" / "config.json").read_text() != before
    (tmp_path / "runs" / "mine").mkdir()
    (tmp_path / "runs" / "mine" / "thesis.tex").touch()
    done = cli("train", *SHORT, "--name", "mine", "--force", code=1)
    assert "not one of ours" in done.stderr
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "mine"]


def test_finished_and_extended(cli: Cli, tmp_path: Path) -> None:
    cli("train", *SHORT, "--h-dims", "8", "--name", "a", "--quiet")
    done = cli("train", "--resume", "a")
    assert "finished after 4 epochs: nothing to do" in done.stderr
    done = cli("train", "--resume", tmp_path / "runs" / "a", "--epochs", "6")
    assert "going on after 4 epochs" in done.stderr
    assert "epoch 6/6" in done.stderr
    config = json.loads((tmp_path / "runs" / "a" / "config.json").read_text())
    assert config["training"]["epochs"] == 6
    assert "can only extend" in cli("train", "--resume", "a", "--epochs", "3", code=2).stderr


def _start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sxvae_cli", "train", *args],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as `cli`: other threads give other bits
    )


LONGER = ("--epochs", "60", "--burn-in", "10", "--kl-warmup", "20", "--eval-samples", "20")


def test_ctrl_c_saves_and_says_how_to_resume(cli: Cli, tmp_path: Path) -> None:
    process = _start(tmp_path, *LONGER, "--name", "my run")
    assert process.stderr is not None
    assert any(line.startswith("epoch 2/") for line in process.stderr), "training ended before"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("go on with: sxvae train --resume 'my run'")
    epochs = read_checkpoint(tmp_path / "runs" / "my run" / "last.safetensors").metadata["epoch"]
    assert f"{epochs} epochs are saved" in errors
    cli("train", "--resume", "my run", "--quiet")


@pytest.mark.parametrize("wait", [1.5, 2.0, 2.5])
def test_early_ctrl_c_is_one_sentence(tmp_path: Path, wait: float) -> None:
    """While it imports and loads, or wherever else a machine's speed puts it then."""
    process = _start(tmp_path, *LONGER, "--name", "a")
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("interrupted")
    if errors == "interrupted\n":
        assert list(tmp_path.iterdir()) == []


def test_ten_kills_do_not_change_a_bit(cli: Cli, tmp_path: Path) -> None:
    """SIGKILL at random moments: some while it starts, most while it trains or saves."""
    cli("train", *LONGER, "--name", "whole", "--quiet")
    rng = random.Random(0)
    cut = tmp_path / "runs" / "cut"
    for kill in range(10):
        begun = (cut / "config.json").exists()
        options = ("--resume", "cut") if begun else (*LONGER, "--name", "cut")
        process = _start(tmp_path, *options)
        assert process.stderr is not None
        if kill % 3 != 0:
            for line in process.stderr:
                if line.startswith("epoch"):  # training has begun
                    break
            time.sleep(rng.uniform(0, 1.2))
        else:
            time.sleep(rng.uniform(0, 8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    cli("train", "--resume", "cut", "--quiet")
    assert _same_best(tmp_path / "runs" / "whole", cut)
    lines = (cut / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    assert not list(cut.glob(".*"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["cut", "whole"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--z-dims", ""), 2, "--z-dims '': a product space needs at least one dimension"),
        (("--z-dims", "0,4"), 2, "--z-dims 0,4: a factor has dimension 1 or more, not 0"),
        (("--z-dims", "a,b"), 2, "--z-dims a,b: 'a,b' is not a list of dimensions"),
        (("--z-dims", "-1"), 2, "--z-dims -1: a factor has dimension 1 or more, not -1"),
        (
            ("--distribution", "gauss"),
            2,
            "--distribution gauss: the distribution 'gauss' is not known",
        ),
        (
            ("--distribution", "vmf,vmf,vmf"),
            2,
            "--distribution vmf,vmf,vmf: 3 distributions do not fit 2",
        ),
        (("--h-dims", "256,,2"), 2, "--h-dims 256,,2: must be a list of widths"),
        (("--epochs", "0"), 2, "--epochs 0: must be at least 1; see sxvae train --help"),
        (("--epochs", "ten"), 2, "--epochs"),
        (("--lr", "nan"), 2, "--lr nan: must be a finite number; see sxvae train --help"),
        (("--threads", "0"), 2, "--threads"),
        (("--device", "tpu"), 2, "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (("--dataset", "imagenet"), 2, "no data set 'imagenet'; choose from digits, mnist"),
        (("--name", "a/b"), 2, "no name for a run"),
        (("--config", "none.json"), 2, "none.json can't be read"),
        (("--resume", "none"), 1, "there is no checkpoint or run none"),
        (("--resume", "none", "--lr", "1"), 2, "--lr can't stand beside --resume"),
        (("--binarization", "none"), 1, "not binary"),
        (("--z-dims", "4_4"), 2, "--z-dims 4_4: '4_4' is not a list"),
        (("--name", "a" * 300), 2, "no name for a run"),
        (("--nonsense",), 2, "No such option"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = cli("train", *arguments, code=code)
    assert sentence in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_is_not_ours(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for content, sentence in (
        ("{", "is not JSON"),
        ("[" * 100_000, "is nested more than 32 levels deep"),
        ("{}", "not a config.json of sxvae"),
        ('{"format_version": 99}', "written by a newer sxvae"),
        ('{"format_version": 1, "model": {}, "data": {}}', "input_shape is missing"),
        (
            '{"format_version": 1, "model": {"input_shape": [1, 8, 8]}, "data": {}, '
            '"training": {"epochs": "x"}}',
            "training.epochs: must be a whole number",
        ),
    ):
        file.write_text(content)
        done = cli("train", "--config", file, code=2)
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_names_are_printed_as_they_are(cli: Cli) -> None:
    """Brackets are mark-up to Rich, and a part of the name to its owner."""
    done = cli("train", *SHORT, "--h-dims", "8", "--name", "a[b][/c]", "--epochs", "1", code=2)
    assert "no name for a run" in done.stderr  # it has a slash
    done = cli("train", *SHORT[2:], "--epochs", "1", "--h-dims", "8", "--name", "a[red]b")
    assert "a[red]b" in done.stderr
    assert "a[red]b" in done.stdout


def test_a_data_set_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    """Where the network is, MNIST would be downloaded; a proxy that refuses keeps that away."""
    done = subprocess.run(
        [sys.executable, "-m", "sxvae_cli", "train", "--dataset", "mnist", "--data-dir", "data"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            **{f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")},
        },
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "could not be downloaded" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_an_error_comes_from(cli: Cli) -> None:
    done = cli("train", "--resume", "none", "--debug", code=1)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("sxvae: there is no checkpoint or run")


def test_real_mnist(cli: Cli, tmp_path: Path, mnist_dir: Path) -> None:
    cli(
        *("train", "--dataset", "mnist", "--data-dir", mnist_dir, "--epochs", "1"),
        *("--kl-warmup", "1", "--burn-in", "0", "--eval-samples", "0", "--h-dims", "64"),
        *("--name", "a", "--quiet"),
    )
    done = cli("eval", "--limit", "100", "--samples", "20", "--json", "--quiet")
    metrics = json.loads(done.stdout)
    assert metrics["dataset"] == "mnist"
    assert metrics["images"] == 100
    assert -206 < metrics["log_likelihood"] < -100  # per-pixel frequencies alone give about -206
    assert metrics["log_likelihood"] > metrics["elbo"]
