"""How a training step grows with the number of factors, with their dimension and with the batch.

Each step is divided by that of a plain auto-encoder of the same layers, whose matrices grow as
well; the ratio shows what the spheres add.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from benchmarks.performance import Finding, Measurement, seconds_cell, target_cell
from benchmarks.step import BATCH, autoencoder_step, binary_images, model_step
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Timing, interleaved, over_limit
from sxvae import ProductSpace

FACTORS, FACTOR_DIM = [1, 4, 16, 64, 256], 4
DIMS = [2, 8, 32, 128, 512, 2_048, 4_096]
BATCHES = [10, 100, 1_000]
TARGET, TARGET_FACTORS = 1.3, 64


class Case(NamedTuple):
    """One point of a curve: its size on the horizontal axis, the space and the batch size."""

    curve: str
    size: int
    dims: tuple[int, ...]
    batch: int


def cases() -> Iterator[Case]:
    for factors in FACTORS:
        yield Case("factors S^4", factors, (FACTOR_DIM,) * factors, BATCH)
    for dim in DIMS:
        yield Case("dimension of one sphere", dim, (dim,), BATCH)
    for batch in BATCHES:
        yield Case("batch, eight S^4", batch, (FACTOR_DIM,) * 8, batch)


def measured(case: Case, rounds: int) -> tuple[Timing, Timing]:
    """Time a step of the auto-encoder and one of the model."""
    x, space = binary_images(case.batch), ProductSpace(case.dims)
    tasks = {"limit": autoencoder_step(space.ambient, x), "ours": model_step(space, x)}
    timings = interleaved(tasks, rounds)
    return timings["limit"], timings["ours"]


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    first: dict[str, float] = {}
    measurements, rows = [], []
    for case in cases():
        limit, ours = measured(case, FEWER_ROUNDS if reduced else ROUNDS // 2)
        over = over_limit(ours, limit)
        first.setdefault(case.curve, over)
        is_target = case.curve.startswith("factors") and case.size == TARGET_FACTORS
        measurement = Measurement(
            f"{case.curve}: {case.size:,}",
            over / first[case.curve],
            TARGET if is_target else None,
            detail={"curve": case.curve, "size": case.size, "over_autoencoder": over},
        )
        measurements.append(measurement)
        cells = [measurement.what, seconds_cell(limit), seconds_cell(ours), f"{over:.2f}"]
        rows.append([*cells, f"{measurement.ratio:.2f}", target_cell(measurement)])
    return Finding(
        "growth",
        "A training step, MLP 256,128, over that of a plain auto-encoder of the same layers; and "
        "how that ratio grows from the first row of its curve.",
        measurements,
        ["case", "auto-encoder", "sxvae", "ratio", "growth", "target"],
        rows,
    )
