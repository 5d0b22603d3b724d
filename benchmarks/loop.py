"""A training epoch, with data, binarisation, metrics and the bar on the terminal, over its steps.

10,000 images of MNIST's size, with as many pixels above 0; the limit is the same number of steps on
one batch.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from rich.console import Console

import sxvae_cli.progress
from benchmarks.performance import Finding, ratio_cells, seconds_cell, target_cell, timed
from benchmarks.step import BATCH, HIDDEN, SHAPE, binary_images, model_step
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Task, interleaved
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import RunSettings, TrainingSettings
from sxvae.data import ImageData, Split
from sxvae.runs.directory import RunDirectory
from sxvae.training.loop import Trainer
from sxvae_cli.progress import LiveProgress

SPACES = ["9", "4,4"]
IMAGES, FEWER_IMAGES = 10_000, 500
TARGET = 1.10


def grey_images(count: int) -> ImageData:
    """Grey images of 8 bits like MNIST's: 81% of the pixels are 0, the others any value."""
    ink = torch.rand(count, *SHAPE) < 0.19
    pixels = torch.randint(256, (count, *SHAPE), dtype=torch.uint8) * ink
    few = Split(pixels[:BATCH], 255.0)
    return ImageData(Split(pixels, 255.0), few, few)


def epoch(space: ProductSpace, data: ImageData, display: LiveProgress, folder: Path) -> Task:
    """One epoch of `sxvae train`, without its validation."""
    model = ProductSpaceVAE(space, SHAPE, HIDDEN)
    config = TrainingSettings(batch_size=BATCH)
    settings = RunSettings(model=model.settings, data=data.settings, training=config)
    run = RunDirectory(folder / "run")
    trainer = Trainer(model, data, settings, run, torch.device("cpu"), 2, display)
    display.started(run, settings, 0, len(data.train) // BATCH)
    return trainer._learn


def steps(space: ProductSpace, count: int) -> Task:
    step = model_step(space, binary_images())

    def task() -> None:
        for _ in range(count):
            step()

    return task


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    data = grey_images(FEWER_IMAGES if reduced else IMAGES)
    measurements, rows = [], []
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        vars(sxvae_cli.progress)["remarks"] = Console(file=nowhere, force_terminal=True)
        for dims in SPACES:
            space = ProductSpace.parse(dims)
            with LiveProgress() as display:
                tasks = {
                    "limit": steps(space, len(data.train) // BATCH),
                    "ours": epoch(space, data, display, Path(folder)),
                }
                timings = interleaved(tasks, FEWER_ROUNDS if reduced else ROUNDS)
            measurement = timed(f"epoch, {dims}", timings["ours"], timings["limit"], TARGET)
            measurements.append(measurement)
            cells = (seconds_cell(timings[name]) for name in ("limit", "ours"))
            rows.append(
                [measurement.what, *cells, *ratio_cells(measurement), target_cell(measurement)]
            )
    return Finding(
        "loop",
        f"An epoch of {len(data.train):,} images over its steps alone.",
        measurements,
        ["case", "steps", "epoch", "ratio", "of medians", "target"],
        rows,
    )
