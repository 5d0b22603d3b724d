"""The run directory: its files, and how a run or a checkpoint is found. Needs no PyTorch."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sxvae.config import RunSettings
from sxvae.errors import CheckpointError, ConfigError
from sxvae.io.atomic import write_atomically, writing
from sxvae.runs.config_file import CONFIG_VERSION, read_config
from sxvae.runs.lock import RunLock
from sxvae.runs.metrics_files import read_epochs, read_evaluation, read_lines
from sxvae_runtime.files.staging import clear_leftovers, complete_replacements
from sxvae_runtime.manifest import MANIFEST

_logger = logging.getLogger("sxvae.runs")


@dataclass(frozen=True)
class RunDirectory:
    """A run's files.

    Attributes:
        path: the run's folder, `<runs_dir>/<name>`.
        lock: held by whoever writes the run; None for readers.
    """

    path: Path
    lock: RunLock | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The settings and the start time."""
        return self.path / "config.json"

    @property
    def best(self) -> Path:
        """The model with the best validation ELBO after burn-in."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The model and everything else that resuming needs."""
        return self.path / "last.safetensors"

    @property
    def metrics(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def restarts(self) -> Path:
        """One JSON object per restart of training; missing where there was none."""
        return self.path / "restarts.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def evaluation(self) -> Path:
        """The test metrics of `best`."""
        return self.path / "evaluation.json"

    @property
    def samples(self) -> Path:
        """The folder of pictures."""
        return self.path / "samples"

    def checkpoint(self) -> Path:
        """`best`, else `last`.

        Raises:
            CheckpointError: if there is neither.
        """
        for path in (self.best, self.last):
            if path.is_file():
                return path
        raise CheckpointError(f"the run {self.path} holds no checkpoint yet")

    def refuse_lost(self) -> None:
        """Refuse to write on, if the folder at `path` is not the one whose lock is held.

        Raises:
            OutputError: if somebody has moved, deleted or replaced it.
        """
        if self.lock is not None:
            self.lock.refuse_lost()

    def write_config(self, settings: RunSettings, given: dict[str, Any], started: str) -> None:
        """Write config.json: the settings as given and as resolved.

        Raises:
            OutputError: if it can't be written.
        """
        self.refuse_lost()
        content = {
            "format_version": CONFIG_VERSION,
            "started": started,
            "given": given,
            **settings.model_dump(mode="json"),
        }
        write_atomically(self.config, (json.dumps(content, indent=2) + "\n").encode())

    def append_metrics(self, metrics: dict[str, Any]) -> None:
        """Add an epoch's line.

        Raises:
            OutputError: if it can't be written.
        """
        self.refuse_lost()
        _append_line(self.metrics, metrics)

    def append_restart(self, restart: dict[str, Any]) -> None:
        """Add a restart's line.

        Raises:
            OutputError: if it can't be written.
        """
        self.refuse_lost()
        _append_line(self.restarts, restart)

    def make_samples(self) -> None:
        """Make the folder of pictures.

        Raises:
            OutputError: if it can't be made.
        """
        self.refuse_lost()
        with writing(self.samples):
            self.samples.mkdir(exist_ok=True)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All complete lines, which are those of epochs 1, 2, 3 and so on.

        Raises:
            CheckpointError: if one is damaged, or metrics.jsonl is no file that can be read.
        """
        return read_epochs(self.metrics)

    def cut_back(self, epochs: int, restarts: int) -> None:
        """Keep the lines of the first epochs and restarts; delete what a kill left half written.

        Raises:
            CheckpointError: if one of the epochs' lines is missing or damaged.
        """
        clear_leftovers(self.path)
        for path, count in ((self.metrics, epochs), (self.restarts, restarts)):
            if path.exists():
                lines = read_lines(path)[:count]
                write_atomically(path, b"".join(line + b"\n" for line in lines))
        if len(self.read_metrics()) < epochs:
            raise CheckpointError(f"{self.metrics} lacks epochs that {self.last} has seen")

    def read_evaluation(self) -> dict[str, Any] | None:
        """The metrics of evaluation.json; None if there are none that can be read."""
        return read_evaluation(self.evaluation)

    def remove_evaluation(self) -> None:
        """Remove evaluation.json, if it is there.

        Raises:
            OutputError: if it can't be removed.
        """
        self.refuse_lost()
        with writing(self.evaluation):
            self.evaluation.unlink(missing_ok=True)

    def write_evaluation(self, metrics: dict[str, Any]) -> None:
        """Write evaluation.json.

        Raises:
            OutputError: if it can't be written.
        """
        self.refuse_lost()
        write_atomically(self.evaluation, (json.dumps(metrics, indent=2) + "\n").encode())


def _append_line(path: Path, content: dict[str, Any]) -> None:
    with writing(path), open(path, "a", encoding="utf-8", opener=_open_no_link) as file:
        file.write(json.dumps(content) + "\n")
        file.flush()
        os.fsync(file.fileno())


def evaluation_of(checkpoint: Path) -> dict[str, Any] | None:
    """The test metrics of a checkpoint, if it is a run's best and was evaluated; else None."""
    run = RunDirectory(checkpoint.parent)
    return run.read_evaluation() if checkpoint.name == run.best.name else None


def _open_no_link(path: str, flags: int) -> int:
    """Open a file of a run, which may be somebody else's: a link there may lead anywhere."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def is_run(path: Path) -> bool:
    """Whether a folder holds our config.json."""
    try:
        read_config(path / "config.json")
    except ConfigError:
        return False
    return True


def find_run(run: str | Path, runs_dir: Path) -> RunDirectory:
    """A run by its path, or by its name under `runs_dir`.

    A run's name wins over a file or folder of that name that is no run. Of two runs the one that
    the path names is taken, and that is said.

    Raises:
        CheckpointError: if there is none.
    """
    paths = (Path(run), runs_dir / run)
    for path in paths:
        if not path.exists():
            complete_replacements(path.parent)
    found = [path for path in paths if (path / "config.json").is_file()]
    if not found:
        for path in paths:
            if (path / MANIFEST).is_file():
                raise CheckpointError(f"{path} is a bundle: name a run or a checkpoint")
        raise CheckpointError(
            f"there is no checkpoint or run {run}, nor a run of that name under {runs_dir}"
        )
    if len(found) > 1 and not found[0].samefile(found[1]):
        _logger.warning(
            "%s and %s are both runs: the first is taken", *(p.absolute() for p in found)
        )
    return RunDirectory(found[0])


def newest_run(runs_dir: Path) -> RunDirectory:
    """The run that was started last.

    Raises:
        CheckpointError: if there is none.
    """
    complete_replacements(runs_dir)
    folders = runs_dir.iterdir() if runs_dir.is_dir() else iter(())
    runs = [RunDirectory(path) for path in folders if path.name[0] != "." and is_run(path)]
    if not runs:
        raise CheckpointError(
            f"there is no run under {runs_dir}: train a model first, or name a checkpoint"
        )
    return max(runs, key=lambda run: str(read_config(run.config).get("started", "")))


def find_checkpoint(target: str | Path | None, runs_dir: Path) -> Path:
    """A checkpoint by its path, a run's by path or name, or the newest run's if None.

    Raises:
        CheckpointError: if there is none.
    """
    if target is None:
        return newest_run(runs_dir).checkpoint()
    path = Path(target)
    if not path.parent.exists():
        complete_replacements(path.parent.parent)
    is_checkpoint = path.suffix == ".safetensors"
    if (is_checkpoint and path.exists()) or (path.is_file() and not is_run_name(target, runs_dir)):
        return path
    if is_checkpoint:
        raise CheckpointError(f"there is no checkpoint at {path}")
    return find_run(target, runs_dir).checkpoint()


def is_run_name(target: str | Path, runs_dir: Path) -> bool:
    """Whether there is a run of that name under `runs_dir`."""
    return str(target) == Path(target).name and (runs_dir / target / "config.json").is_file()
