"""Random streams: seeded, one for each purpose, without changes to PyTorch's global stream."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


def fresh_seed() -> int:
    """A seed of 63 bits from PyTorch's global stream on the CPU, for another random generator."""
    return int(torch.empty((), dtype=torch.int64).random_())


@contextlib.contextmanager
def seeded(seed: int, purpose: str, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run a block with a random stream of its own, then restore PyTorch's global stream.

    Args:
        seed: the user's seed.
        purpose: what the random numbers are for; different purposes get independent streams.
        device: if this is a CUDA device, its stream is seeded and restored as well.
    """
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        reseed(seed, purpose, device)
        yield


def reseed(seed: int, purpose: str, device: torch.device) -> None:
    """Set PyTorch's global stream to the start of the stream of a seed and purpose.

    Arguments are those of `seeded`.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    own = int.from_bytes(digest[:8], "big") >> 1
    torch.default_generator.manual_seed(own)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(own)
