"""Metrics for TensorBoard, through PyTorch's own writer."""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxvae.errors import ConfigError
from sxvae.io.atomic import writing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# A thread that has failed ends within milliseconds.
_SECONDS_TO_END = 5.0


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
    """Yield a function that logs an epoch's metrics; it does nothing if logging is not wanted.

    Args:
        folder: where the event files go.
        done: how many epochs are done; what an earlier process logged of later ones is replaced.
        wanted: whether to log at all.

    Raises:
        OutputError: if the folder can't be written.
    """
    if not wanted:
        yield lambda metrics: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with _failures_of_threads_kept():
        with writing(folder):
            writer = SummaryWriter(str(folder), purge_step=done + 1)
        try:
            yield lambda metrics: _add(writer, folder, metrics)
        finally:
            with writing(folder):
                writer.close()


@contextlib.contextmanager
def _failures_of_threads_kept() -> Iterator[None]:
    """Let no thread that the block starts print a traceback because it can't write.

    TensorBoard writes in a thread. It raises that thread's error again in the next call, but Python
    prints it as well.
    """
    before, print_failure = set(threading.enumerate()), threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        is_new = failure.thread is not None and failure.thread not in before
        if not (is_new and isinstance(failure.exc_value, OSError)):
            print_failure(failure)

    threading.excepthook = hook
    try:
        yield
    except BaseException:
        for thread in set(threading.enumerate()) - before:
            thread.join(timeout=_SECONDS_TO_END)
        raise
    finally:
        threading.excepthook = print_failure


def _add(writer: SummaryWriter, folder: Path, metrics: dict[str, Any]) -> None:
    epoch = metrics["epoch"]
    with writing(folder):
        for name, value in metrics.items():
            if isinstance(value, list):
                for index, entry in enumerate(value):
                    writer.add_scalar(f"{name}/{index}", entry, epoch)
            elif name != "epoch":
                writer.add_scalar(name, value, epoch)
        writer.flush()
