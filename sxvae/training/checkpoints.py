"""The checkpoints that training writes: `last`, to resume from, and `best`."""

from __future__ import annotations

import platform
from typing import Any

import torch

import sxvae
from sxvae.config import RunSettings
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import write_checkpoint
from sxvae.runs.directory import RunDirectory
from sxvae.training.state import Snapshot, model_tensors


class CheckpointWriter:
    """Writes a run's checkpoints.

    Args:
        run: where.
        settings: stored in each.

    Attributes:
        written: the snapshot that `last` holds; None before there is one.
    """

    def __init__(self, run: RunDirectory, settings: RunSettings) -> None:
        self._run = run
        self._settings = settings
        self.written: Snapshot | None = None

    @property
    def saved_epochs(self) -> int:
        """How many epochs `last` has seen."""
        return 0 if self.written is None else self.written.state.epoch

    def write_last(self, snapshot: Snapshot | None, staged: RunDirectory | None = None) -> None:
        """Write a snapshot to `last`, if it is not there already.

        Args:
            snapshot: None if there is none to write.
            staged: where a new run takes shape, before it is at its place.

        Raises:
            OutputError: if it can't be written.
        """
        if snapshot is None or snapshot is self.written:
            return
        state = snapshot.state
        metadata = self._metadata("last", state.epoch) | state.as_metadata()
        run = staged or self._run
        run.refuse_lost()
        write_checkpoint(run.last, snapshot.tensors, metadata)
        self.written = snapshot

    def write_best(
        self, model: ProductSpaceVAE, epoch: int, metrics: dict[str, Any] | None
    ) -> None:
        """Write the model to `best`.

        Raises:
            OutputError: if it can't be written.
        """
        metadata = self._metadata("best", epoch) | {"metrics": metrics}
        self._run.refuse_lost()
        write_checkpoint(self._run.best, model_tensors(model), metadata)

    def _metadata(self, kind: str, epoch: int) -> dict[str, Any]:
        return {
            "kind": kind,
            "epoch": epoch,
            "settings": self._settings.model_dump(mode="json"),
            "versions": {
                "sxvae": sxvae.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }
