"""Callbacks of a training."""

from __future__ import annotations

from typing import Any

from sxvae.config import RunSettings
from sxvae.runs.directory import RunDirectory


class Callbacks:
    """Called as training goes on: a subclass overrides the methods that it needs."""

    def started(self, run: RunDirectory, settings: RunSettings, done: int, steps: int) -> None:
        """Training starts after `done` epochs; an epoch has `steps` steps."""

    def stepped(self) -> None:
        """A step has ended."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """An epoch has ended; `metrics` is its line of metrics.jsonl."""

    def restarted(self, restart: dict[str, Any]) -> None:
        """Training goes back to the end of an epoch; `restart` is its line of restarts.jsonl."""

    def evaluated(self, done: float, images: int) -> None:
        """`done` of the test images are evaluated; fractions count images that are done in part."""
