"""`step` by processor time with one thread, for a machine that does other work."""

from __future__ import annotations

import time

import torch

from benchmarks.performance import Finding
from benchmarks.step import measured


def run(reduced: bool) -> Finding:
    torch.set_num_threads(1)
    return measured(reduced, time.process_time)
