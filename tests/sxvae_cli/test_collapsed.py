"""A run with a collapsed factor: every command that measures, draws or shows it says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure

from sxvae.plotting import save_figure
from sxvae.runs.directory import RunDirectory
from sxvae_cli.app import run as run_app

SAID = "factor 1 (S^4) has collapsed: its mutual information is "
ADVICE = "try --free-bits 0.5, a smaller space or a longer --kl-warmup\n"
MARK = "collapsed: positions say next to nothing"


class Said(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Run `sxvae` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Said:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["sxvae", *map(str, arguments)])
        assert run_app(lambda: False) == 0
        return Said(*capsys.readouterr())

    return run


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The panels' titles of the figures that are saved."""
    found: list[str] = []

    def save(figure: Figure, out: Path) -> None:
        found.extend(axes.get_title() for axes in figure.axes)
        save_figure(figure, out)

    monkeypatch.setattr("sxvae.plotting.save_figure", save)
    return found


def test_training_says_it_at_its_end(cli: Cli, trained: Path) -> None:
    """Here of a run that is finished, which shows its metrics again."""
    done = cli("train", "--resume", trained)
    assert SAID in done.stderr
    assert done.stderr.endswith(ADVICE)
    assert "0 of 3 factors; collapsed: 1, 2, 3" in done.stdout
    quiet = cli("train", "--resume", trained, "--quiet")
    assert quiet.stderr == ""
    assert "collapsed: 1, 2, 3" in quiet.stdout


def test_eval_says_it(cli: Cli, trained: Path) -> None:
    quick = ("--samples", "2", "--limit", "100")
    done = cli("eval", trained, *quick)
    assert SAID in done.stderr
    assert done.stderr.endswith(ADVICE)
    assert "0 of 3 factors; collapsed: 1, 2, 3" in done.stdout
    assert "at most log(100) = 4.605" in done.stdout
    done = cli("eval", trained, *quick, "--json")
    assert json.loads(done.stdout)["collapsed"] == [True] * 3
    assert SAID in done.stderr


def test_inspect_and_the_manifest_say_it(cli: Cli, trained: Path, bundle: Path) -> None:
    checkpoint = json.loads(cli("inspect", trained, "--json").stdout)
    manifest = json.loads((bundle / "manifest.json").read_text())
    stored = json.loads((trained / "evaluation.json").read_text())
    assert checkpoint["evaluation"] == stored
    del stored["checkpoint"]
    assert manifest["provenance"]["evaluation"] == stored
    assert stored["collapsed"] == [True] * 3
    assert "collapsed" in cli("inspect", bundle).stdout


def test_pictures_and_the_report_mark_it(
    cli: Cli, trained: Path, bundle: Path, tmp_path: Path, titles: list[str]
) -> None:
    """From a run, from a checkpoint that was never evaluated, and from a bundle."""
    alone, images = tmp_path / "model.safetensors", tmp_path / "images.npy"
    shutil.copy(trained / "best.safetensors", alone)
    np.save(images, np.random.default_rng(0).integers(0, 2, (20, 8, 8)).astype(np.float32))
    for source in (trained, alone, bundle):
        given = ("--images", images) if source == bundle else ()
        cli("plot", "embedding", source, *given, "--out", tmp_path / f"{source.name}.png")
    assert len(titles) == 9
    assert all(MARK in title for title in titles)
    cli("report", trained, "--out", "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<p class="warning">Factor 1 (S^4) has collapsed' in text
    assert "<th>mutual information</th>" in text


def test_metrics_of_older_versions_stay_readable(cli: Cli, trained: Path, tmp_path: Path) -> None:
    """They counted factors with a KL above 0.01 nat as active, which says something else."""
    run = tmp_path / "runs" / "old"
    shutil.copytree(trained, run)
    new = ("collapsed", "mutual_information", "mutual_information_se", "marginal_kl")
    metrics: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    old = {k: v for k, v in metrics.items() if k not in (*new, "marginal_kl_se")}
    RunDirectory(run).evaluation.write_text(json.dumps({**old, "active_factors": 3}))
    done = cli("train", "--resume", "old")
    assert done.stderr == f"{Path('runs') / 'old'} is finished after 4 epochs: nothing to do\n"
    assert "active" not in done.stdout
    assert "KL per factor" in done.stdout
    cli("report", "old", "--out", "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "active factors" not in text
    assert "KL per factor" in text
