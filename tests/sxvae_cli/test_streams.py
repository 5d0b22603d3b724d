"""Standard streams that are closed, full or cut off, as they are in scripts and logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if os.name != "posix":
    pytest.skip("streams are closed by a POSIX shell here", allow_module_level=True)

SXVAE = f"{sys.executable} -m sxvae_cli"
QUICK = "--epochs 2 --burn-in 0 --kl-warmup 1 --eval-samples 2 --h-dims 4 --batch-size 1000"


def _shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )


def test_results_that_nobody_reads_end_quietly(trained: Path) -> None:
    done = _shell(f"{SXVAE} inspect run --json | true", trained.parent.parent)
    assert done.returncode in (1, 141)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("stdout", "reason"),
    [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_results_that_can_not_be_written_are_an_error(
    trained: Path, stdout: str, reason: str
) -> None:
    done = _shell(f"{SXVAE} inspect run {stdout}", trained.parent.parent)
    assert done.returncode == 1
    assert done.stderr == f"sxvae: the output can't be written ({reason})\n"


def test_with_all_streams_closed_a_run_is_as_it_always_is(tmp_path: Path) -> None:
    """What is meant for a closed stream must not land in a file that got its number."""
    done = _shell(f"{SXVAE} train {QUICK} --name a <&- >&- 2>&-", tmp_path)
    assert done.returncode == 1  # its result could not be printed
    run = tmp_path / "runs" / "a"
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert json.loads((run / "evaluation.json").read_text())["images"] == 250
    quick = "--limit 1 --samples 2 --json"
    done = _shell(f"{SXVAE} eval {quick} 2>&-", tmp_path)
    assert done.returncode == 0
    metrics = json.loads(done.stdout)  # without the remark on what is evaluated
    assert metrics["log_likelihood_se"] is None
    (tmp_path / "runs" / "a" / "evaluation.json").write_text(json.dumps(metrics))
    table = _shell(f"{SXVAE} train --resume a", tmp_path).stdout
    assert "±" not in table
    assert "active" not in table  # a single image does not tell
    assert "mutual information" in table


def test_a_log_has_the_epochs_lines_whatever_colours_are_forced(tmp_path: Path) -> None:
    done = _shell(f"{SXVAE} train {QUICK} --name a 2> log", tmp_path, FORCE_COLOR="1")
    assert done.returncode == 0
    log = (tmp_path / "log").read_text()
    assert "epoch 1/2  loss" in log
    assert "epoch 2/2  loss" in log
    assert "\x1b" not in log
    done = _shell(f"{SXVAE} plot training 2> /dev/full", tmp_path)
    assert done.returncode == 0  # no work ends because a log is full


def test_ascii_and_narrow_terminals_get_the_numbers(trained: Path) -> None:
    command = f"{SXVAE} eval run --limit 9 --samples 2"
    done = _shell(command, trained.parent.parent, PYTHONIOENCODING="ascii", COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert " ? " in done.stdout  # for ±
    assert "log-likelihood" in done.stdout
    assert "importance" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40
