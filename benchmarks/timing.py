"""How the speed benchmarks measure: everything that is compared runs interleaved in one process.

A run of a task is as many calls as take about `RUN_SECONDS`; its time is the mean of them. The
tasks take turns (A B A B ...), so that other work of the machine slows all of them alike. A limit
is represented by its fastest run, everything else by the median of its runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

RUN_SECONDS = 0.1
ROUNDS = 15
# To test that a benchmark runs, in runs of a single call.
FEWER_ROUNDS = 2

Task = Callable[[], object]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of a call in each of a task's runs, in the order in which they were made."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        return min(self.seconds)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile."""
        low, high = np.percentile(self.seconds, [10, 90])
        return float(low), float(high)


def interleaved(
    tasks: Mapping[str, Task], rounds: int = ROUNDS, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Time tasks that take turns, each after a call that is not counted."""
    is_test = rounds <= FEWER_ROUNDS
    calls = {name: 1 if is_test else _calls_in_a_run(task) for name, task in tasks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            seconds[name].append(_seconds(task, calls[name], clock))
    return {name: Timing(tuple(each)) for name, each in seconds.items()}


def over_pairs(timing: Timing, limit: Timing) -> float:
    """The median of the ratios of runs that were made one after the other."""
    pairs = zip(timing.seconds, limit.seconds, strict=True)
    return float(np.median([ours / its for ours, its in pairs]))


def over_limit(timing: Timing, limit: Timing) -> float:
    """The median run's time over that of the limit's fastest run."""
    return timing.median / limit.best


def _seconds(task: Task, calls: int, clock: Clock = time.perf_counter) -> float:
    start = clock()
    for _ in range(calls):
        task()
    return (clock() - start) / calls


def _calls_in_a_run(task: Task) -> int:
    task()  # the first call is slower: it compiles and fills caches
    return max(1, math.ceil(RUN_SECONDS / max(_seconds(task, 1), 1e-9)))
