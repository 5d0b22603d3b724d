"""How long whole processes take: commands from their start to their end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.performance import (
    Finding,
    Measurement,
    ratio_cells,
    seconds_cell,
    target_cell,
    timed,
)
from benchmarks.runtime import export_untrained
from benchmarks.timing import Timing

ROUNDS, FEWER_ROUNDS = 9, 1
EMPTY_COMMANDS = 13
SAMPLE_TARGET, HELP_TARGET, PROGRESS_TARGET = 0.35, 1.3, 1.0

_EMPTY_APPLICATION = f"""
import typer

app = typer.Typer(add_completion=False)


def empty() -> None:
    \"\"\"Do nothing.\"\"\"


for number in range({EMPTY_COMMANDS}):
    app.command(f"command-{{number}}")(empty)
app()
"""
# Runs `sxvae train` up to its first line on stderr, and prints how many seconds after the import of
# PyTorch that was.
_FIRST_PROGRESS = """
import sys
import time
from sxvae_cli import main
from sxvae_cli.commands import train
import torch
start = time.perf_counter()

class Stream:
    def write(self, text):
        print(time.perf_counter() - start, flush=True)
        raise SystemExit

    def flush(self):
        pass

sys.stderr = Stream()
sys.argv = ["sxvae", "train"]
main.main()
"""


def _seconds_of(folder: Path, *arguments: str) -> float:
    """How long a run of the Python interpreter takes, from start to exit."""
    start = time.perf_counter()
    _output_of(folder, *arguments)
    return time.perf_counter() - start


def _output_of(folder: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def _interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Timing]:
    """Time processes that take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for repetition in range(rounds + 1):
        for name, measure in measures.items():
            taken = measure()
            if repetition:  # the first run fills caches and is not counted
                seconds[name].append(taken)
    return {name: Timing(tuple(each)) for name, each in seconds.items()}


def run(reduced: bool) -> Finding:
    rounds = FEWER_ROUNDS if reduced else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = str(export_untrained(folder))
        (folder / "empty.py").write_text(textwrap.dedent(_EMPTY_APPLICATION), encoding="utf-8")
        sample = ("-m", "sxvae_cli", "sample", bundle, "--n", "16", "--force")
        timings = _interleaved(
            {
                "import torch": lambda: _seconds_of(folder, "-c", "import torch"),
                "sample": lambda: _seconds_of(folder, *sample),
                "empty": lambda: _seconds_of(folder, "empty.py", "--help"),
                "help": lambda: _seconds_of(folder, "-m", "sxvae_cli", "--help"),
                "progress": lambda: float(_output_of(folder, "-c", _FIRST_PROGRESS)),
            },
            rounds,
        )
    one_second = Timing((1.0,))
    cases = [
        ("sxvae sample BUNDLE --n 16", "sample", "python -c 'import torch'", SAMPLE_TARGET),
        ("sxvae --help", "help", f"--help of {EMPTY_COMMANDS} empty commands", HELP_TARGET),
        ("sxvae train, from PyTorch to first line", "progress", "a second", PROGRESS_TARGET),
    ]
    limits = {"sample": timings["import torch"], "help": timings["empty"], "progress": one_second}
    measurements: list[Measurement] = []
    rows = []
    for what, key, limit, target in cases:
        measurement = timed(what, timings[key], limits[key], target)
        measurements.append(measurement)
        rows.append(
            [
                what,
                f"{limit}: {seconds_cell(limits[key])}",
                seconds_cell(timings[key]),
                *ratio_cells(measurement),
                target_cell(measurement),
            ]
        )
    return Finding(
        "startup",
        "Whole processes that take turns, and the time until a training shows its first line.",
        measurements,
        ["command", "limit", "sxvae", "ratio", "of medians", "target"],
        rows,
    )
