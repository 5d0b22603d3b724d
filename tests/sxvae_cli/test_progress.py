from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.runs.directory import RunDirectory
from sxvae_cli import progress
from sxvae_cli.commands import evaluate
from sxvae_cli.progress import LiveProgress

SETTINGS = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)
METRICS: dict[str, Any] = {
    "epoch": 112,
    "loss": 1234.56,
    "reconstruction": -1234.56,
    "kl": 123.45,
    "val_elbo": -1234.56,
}


def test_80_columns_show_the_epoch_the_figures_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(progress, "remarks", console)
    with LiveProgress() as live:
        live.started(RunDirectory(Path("runs/[a]")), SETTINGS, 111, 2)
        live.stepped()
        live.stepped()
        live.epoch_ended(METRICS)
    text = screen.getvalue()
    assert "runs/[a]: going on after 111 epochs on digits, latent space S^4 x S^4" in text
    bar = [line for line in text.splitlines() if "112/200" in line][-1]
    last = [line for line in text.splitlines() if "loss" in line][-1]
    assert re.search(r"epoch 112/200 .*(\d:\d\d:\d\d|-:--:--)", bar)
    for metric in ("loss 1234.56", "reconstruction -1234.56", "KL 123.45"):
        assert metric in last
    assert "validation ELBO -1234.56" in last


def test_a_log_has_a_line_with_the_time_left_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([1000.0, 1005.0, 1031.0, 1040.0, 1062.0, 1100.0])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("sxvae_cli.commands.evaluate.time", clock)
    with evaluate._progress(quiet=False) as report:
        for done in (10, 50, 60, 99.5, 200):
            report(done, 200)
    assert capsys.readouterr().err.splitlines() == [
        "50.0 of 200 images evaluated  time left 0:01:33",
        "99.5 of 200 images evaluated  time left 0:01:03",
    ]
