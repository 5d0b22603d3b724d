"""Metrics for TensorBoard, through PyTorch's own writer."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxvae.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def require_tensorboard() -> None:
    """Refuse to go on without the package `tensorboard`.

    Raises:
        ConfigError: if it is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "the package tensorboard is not installed; add it with "
            "pip install 'sxvae[tensorboard]', or train without it",
            setting="tensorboard",
        )


@contextlib.contextmanager
def metrics_log(
    folder: Path, done: int, wanted: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what logs an epoch's metrics, as lines of metrics.jsonl; nothing if not wanted.

    Args:
        folder: where the event files go.
        done: the epochs that are done: what is logged of later ones is superseded.
        wanted: whether to log at all.

    Raises:
        OutputError: if the folder can't be written.
    """
    if not wanted:
        yield lambda metrics: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with _unwritable_said(folder):
        writer = SummaryWriter(str(folder), purge_step=done + 1)
    try:
        yield lambda metrics: _add(writer, folder, metrics)
    finally:
        with _unwritable_said(folder):
            writer.close()


@contextlib.contextmanager
def _unwritable_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder} can't be written ({error.strerror or error})") from error


def _add(writer: SummaryWriter, folder: Path, metrics: dict[str, Any]) -> None:
    epoch = metrics["epoch"]
    with _unwritable_said(folder):
        for name, value in metrics.items():
            if isinstance(value, list):
                for place, entry in enumerate(value):
                    writer.add_scalar(f"{name}/{place}", entry, epoch)
            elif name != "epoch":
                writer.add_scalar(name, value, epoch)
        writer.flush()
