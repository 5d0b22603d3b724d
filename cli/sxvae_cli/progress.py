"""The progress of a training, on a terminal and in a log. Importing this imports PyTorch."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sxvae.config import RunSettings
from sxvae.runs.directory import RunDirectory
from sxvae.training.callbacks import Callbacks
from sxvae_cli.console import as_clock, remarks, say
from sxvae_runtime.text import printable


class PlainProgress(Callbacks):
    """A line an epoch, for logs and pipes."""

    def __init__(self) -> None:
        self._epochs = 0
        self._first = 0
        self._start: float | None = None
        self._evaluating = False

    def started(self, run: RunDirectory, settings: RunSettings, done: int, steps: int) -> None:
        """Say where the run goes."""
        self._epochs, self._first = settings.training.epochs, done
        say(_opening(run, settings, done))

    def stepped(self) -> None:
        """Note when the first step has ended: before it, PyTorch needs seconds to start."""
        self._start = self._start or time.monotonic()

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """Print the epoch's line."""
        epoch = metrics["epoch"]
        now = time.monotonic()
        pace = (now - (self._start or now)) / (epoch - self._first)
        say(
            f"epoch {epoch}/{self._epochs}  {_metrics_line(metrics)}  "
            f"time left {as_clock(pace * (self._epochs - epoch))}"
        )

    def restarted(self, restart: dict[str, Any]) -> None:
        """Print why, and where training goes on."""
        say(_restart(restart))

    def evaluated(self, done: float, images: int) -> None:
        """Say once that training is over and its test metrics are being computed."""
        if not self._evaluating:
            say(f"evaluating the best model on {images} test images")
            self._evaluating = True


class _BarsOverMetrics(Progress):
    """Bars, and under them a line of metrics that fits into 80 columns."""

    metrics_line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.metrics_line:
            yield Text(self.metrics_line, no_wrap=True, overflow="ellipsis")


class LiveProgress(Callbacks):
    """A bar that moves with every step, for terminals."""

    def __init__(self) -> None:
        self._progress = _BarsOverMetrics(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=remarks,
            expand=True,
        )
        self._epochs: TaskID | None = None
        self._images: TaskID | None = None
        self._steps = 1
        self._step = 0

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, run: RunDirectory, settings: RunSettings, done: int, steps: int) -> None:
        """Show the bar."""
        self._progress.console.print(Text(printable(_opening(run, settings, done))), soft_wrap=True)
        self._steps, self._step = steps, done * steps
        self._epochs = self._progress.add_task(
            "epoch", total=settings.training.epochs, completed=done
        )

    def stepped(self) -> None:
        """Move the bar by a step."""
        self._step += 1
        if self._epochs is not None:
            self._progress.update(self._epochs, completed=self._step / self._steps)

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """Show the epoch's metrics under the bar."""
        self._progress.metrics_line = _metrics_line(metrics)

    def restarted(self, restart: dict[str, Any]) -> None:
        """Print why and where training goes on above the bar, which goes back."""
        self._progress.console.print(Text(printable(_restart(restart))), soft_wrap=True)
        self._step = restart["back_to_epoch"] * self._steps

    def evaluated(self, done: float, images: int) -> None:
        """Show the evaluation's own bar."""
        if self._images is None:
            self._images = self._progress.add_task("test images", total=images)
        self._progress.update(self._images, completed=done)


def _opening(run: RunDirectory, settings: RunSettings, done: int) -> str:
    begun = f"going on after {done} epochs" if done else "training"
    model, data = settings.model, settings.data
    return f"{run.path}: {begun} on {data.dataset}, latent space {model.space}"


def _metrics_line(metrics: dict[str, Any]) -> str:
    line = (
        f"loss {metrics['loss']:.2f}  reconstruction {metrics['reconstruction']:.2f}  "
        f"KL {metrics['kl']:.2f}"
    )
    if "val_elbo" in metrics:
        line += f"  validation ELBO {metrics['val_elbo']:.2f}"
    if "val_log_likelihood" in metrics:
        line += f"  log-likelihood {metrics['val_log_likelihood']:.2f}"
    return line


def _restart(restart: dict[str, Any]) -> str:
    return (
        f"epoch {restart['epoch']}: {restart['cause']}; restart {restart['restart']} goes on after "
        f"epoch {restart['back_to_epoch']} with fresh random numbers (see restarts.jsonl)"
    )
