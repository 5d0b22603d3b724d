"""Random streams: seeded, separate for each purpose, and never at the caller's expense."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def fresh_seed() -> int:
    """63 bits of PyTorch's global stream on the CPU, for functions with chance of their own."""
    return int(torch.empty((), dtype=torch.int64).random_())


@contextlib.contextmanager
def seeded(seed: int, purpose: str, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run a block on a stream of its own; PyTorch's global one is afterwards as it was before.

    Args:
        seed: the user's seed.
        purpose: streams of one seed for different purposes are independent.
        device: a CUDA device whose stream is needed too.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        reseed(seed, purpose, device)
        yield


def reseed(seed: int, purpose: str, device: torch.device) -> None:
    """Put PyTorch's global stream at the beginning of the one that `seeded` gives."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    own = int.from_bytes(digest[:8], "big") >> 1
    torch.default_generator.manual_seed(own)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(own)
