"""Where the arithmetic is done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from sxvae.errors import ConfigError
from sxvae_runtime.text import shown


def resolve_device(name: str) -> torch.device:
    """The device for "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ConfigError: if there is no such device here.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{shown(name)} is no device's name; choose auto, cpu or cuda")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"{shown(name)} is no device here; choose auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here; choose --device cpu")
    return device


# More are refused: each takes memory of its own, and no machine has so many cores.
MOST_THREADS = 4_096


@contextlib.contextmanager
def threads_set(threads: int | None) -> Iterator[int]:
    """Let PyTorch use so many threads in the block (None: leave it); yields the number in force.

    Raises:
        ConfigError: if the number is below 1 or above `MOST_THREADS`.
    """
    before = torch.get_num_threads()
    if threads is not None and type(threads) is not int:
        raise ConfigError(f"the number of threads is a whole number, not {shown(threads)}")
    if threads is not None and threads < 1:
        raise ConfigError(f"at least one thread is needed, not {threads}")
    if threads is not None and threads > MOST_THREADS:
        raise ConfigError(f"at most {MOST_THREADS:,} threads are taken, not {threads}")
    torch.set_num_threads(threads or before)
    try:
        yield threads or before
    finally:
        torch.set_num_threads(before)
