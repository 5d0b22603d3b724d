"""Several threads for compiled functions, which run without Python's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def in_blocks(count: int, size: int, task: Callable[[slice], None]) -> None:
    """Call `task` for consecutive slices of `size` that cover 0..count, on PyTorch's thread count.

    A single slice, or a single thread's, is done at once, on the caller's thread.
    """
    if count <= size:
        task(slice(0, count))
        return
    blocks = (slice(start, min(start + size, count)) for start in range(0, count, size))
    threads = torch.get_num_threads()
    if threads == 1:
        for block in blocks:
            task(block)
        return
    for done in [_pool(threads).submit(task, block) for block in blocks]:
        done.result()


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sxvae")


if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
