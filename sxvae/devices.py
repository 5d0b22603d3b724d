"""Where the arithmetic is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from sxvae.errors import ConfigError


def resolve_device(name: str) -> torch.device:
    """The device for "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"{name!r} is no device here; choose auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here; choose --device cpu")
    return device


@contextlib.contextmanager
def threads_set(threads: int | None) -> Iterator[int]:
    """Let PyTorch use so many threads in the block (None: leave it); yields the number in force.

    Raises:
        ConfigError: if the number is below 1.
    """
    before = torch.get_num_threads()
    if threads is not None and threads < 1:
        raise ConfigError(f"at least one thread is needed, not {threads}")
    torch.set_num_threads(threads or before)
    try:
        yield threads or before
    finally:
        torch.set_num_threads(before)
