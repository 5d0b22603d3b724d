"""Alternatives in training: one thread instead of two, and networks compiled by PyTorch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.performance import Finding, Measurement, ratio_cells, seconds_cell, timed
from benchmarks.step import BATCH, HIDDEN, SHAPE, adam_step, binary_images
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Task, interleaved
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import Network

# Convolutions take half a second a step.
FEWER_IMAGES = 20


class Case(NamedTuple):
    """A model and a batch."""

    name: str
    shape: tuple[int, int, int]
    network: Network
    batch: int


CASES = [
    Case("MLP, 8x8", (1, 8, 8), "mlp", BATCH),
    Case("MLP, 28x28", SHAPE, "mlp", BATCH),
    Case("gated CNN, 28x28", SHAPE, "cnn", FEWER_IMAGES),
]


def model(case: Case) -> ProductSpaceVAE:
    network, space = case.network, ProductSpace.parse("4,4")
    return ProductSpaceVAE(space, case.shape, HIDDEN, encoder=network, decoder=network)


def on_threads(step: Task, threads: int) -> Task:
    def task() -> None:
        torch.set_num_threads(threads)
        step()

    return task


def with_compiled_networks(case: Case, x: Tensor) -> Task:
    compiled = model(case)
    compiled.encoder.compile()
    compiled.decoder.compile()
    return on_threads(adam_step(compiled, x), 2)


def run(reduced: bool) -> Finding:
    torch.manual_seed(0)
    measurements: list[Measurement] = []
    rows = []
    for case in CASES[:1] if reduced else CASES:
        x = binary_images(case.batch)[..., : case.shape[1], : case.shape[2]].contiguous()
        step = adam_step(model(case), x)
        tasks = {"two threads": on_threads(step, 2), "one thread": on_threads(step, 1)}
        if not reduced:  # compiling takes half a minute
            tasks["compiled networks"] = with_compiled_networks(case, x)
        timings = interleaved(tasks, FEWER_ROUNDS if reduced else ROUNDS // 2)
        for name in list(tasks)[1:]:
            measurement = timed(f"{name}, {case.name}", timings[name], timings["two threads"], None)
            measurements.append(measurement)
            cells = [seconds_cell(timings[each]) for each in ("two threads", name)]
            rows.append([measurement.what, *cells, *ratio_cells(measurement)])
    torch.set_num_threads(2)
    return Finding(
        "choices",
        "A training step with one thread, and with encoder and decoder by torch.compile, over the "
        "step that `sxvae train` takes on two cores.",
        measurements,
        ["choice", "two threads", "choice's step", "ratio", "of medians"],
        rows,
    )
