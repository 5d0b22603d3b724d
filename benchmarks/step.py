"""A training step beside that of a plain auto-encoder of the same layers."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.performance import (
    Finding,
    Measurement,
    installed,
    ratio_cells,
    seconds_cell,
    target_cell,
    timed,
)
from benchmarks.pythae_step import pythae_step
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Clock, Task, interleaved, over_pairs
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import TrainingSettings
from sxvae.training.objective import objective
from sxvae_runtime.factors import Covariance
from sxvae_runtime.families import SPHERICAL_FAMILIES

# Dimensions, families and covariance of each space.
SPACES: dict[str, tuple[str, str, Covariance]] = {
    "9": ("9", "vmf", "diagonal"),
    "4,4": ("4,4", "vmf", "diagonal"),
    "ten 2": (",".join("2" * 10), "vmf", "diagonal"),
    "twenty 1": (",".join("1" * 20), "vmf", "diagonal"),
    "eight 4": (",".join("4" * 8), "vmf", "diagonal"),
    "40": ("40", "vmf", "diagonal"),
    **{
        f"{dims} {family}": (dims, family, "diagonal")
        for family in SPHERICAL_FAMILIES
        if family != "vmf"
        for dims in ("4,4", "9", "40")
    },
    "10 normal": ("10", "normal", "diagonal"),
    "10 normal, full": ("10", "normal", "full"),
    "40 normal": ("40", "normal", "diagonal"),
    "4,4 vmf,power-spherical": ("4,4", "vmf,power-spherical", "diagonal"),
    "4,8,4 vmf,normal,power-spherical": ("4,8,4", "vmf,normal,power-spherical", "diagonal"),
}
BATCH, SHAPE, HIDDEN = 100, (1, 28, 28), (256, 128)
TARGET = 1.25


def binary_images(batch: int = BATCH) -> Tensor:
    """Binary images of which 13.1% of the pixels are 1, as in MNIST."""
    return (torch.rand(batch, *SHAPE) < 0.131).float()


def autoencoder_step(ambient: int, x: Tensor) -> Task:
    """Forward, backward and Adam of the same layers with nothing random between them."""
    widths = [784, *HIDDEN, ambient, *reversed(HIDDEN), 784]
    layers: list[nn.Module] = [nn.Flatten()]
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(inputs, outputs))
        if index not in (len(HIDDEN), len(widths) - 2):
            layers.append(nn.ReLU())
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    target = x.flatten(1)

    def step() -> None:
        loss = binary_cross_entropy_with_logits(network(x), target, reduction="sum") / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def model_step(space: ProductSpace, x: Tensor) -> Task:
    """A training step of a new model on this space."""
    return adam_step(ProductSpaceVAE(space, SHAPE, HIDDEN), x)


def adam_step(model: ProductSpaceVAE, x: Tensor) -> Task:
    """Forward, backward and Adam of any model, with the objective that training uses."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    config = TrainingSettings()

    def step() -> None:
        terms = objective(model, x, 50, config)
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()

    return step


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    return measured(reduced, time.perf_counter)


def measured(reduced: bool, clock: Clock) -> Finding:
    """The table by a clock; the ratio with a target is the median of pairs of runs."""
    torch.manual_seed(0)
    x = binary_images()
    measurements: list[Measurement] = []
    rows = []
    for name, (dims, family, covariance) in SPACES.items():
        space = ProductSpace.parse(dims, family, covariance)
        tasks = {"limit": autoencoder_step(space.ambient, x), "ours": model_step(space, x)}
        if len(space.factors) == 1 and family == "vmf" and installed("pythae"):
            tasks["pythae"] = pythae_step(space.dims[0], x, HIDDEN)
        timings = interleaved(tasks, FEWER_ROUNDS if reduced else ROUNDS, clock)
        for key in [key for key in tasks if key != "limit"]:
            is_ours = key == "ours"
            what = f"step, {name}" if is_ours else f"step, {name}, {key}"
            target = TARGET if is_ours else None
            best = timed(what, timings[key], timings["limit"], target)
            measurement = replace(best, ratio=over_pairs(timings[key], timings["limit"]))
            measurements.append(measurement)
            cells = (seconds_cell(timings[each]) for each in ("limit", key))
            rows.append([what, *cells, *ratio_cells(measurement), target_cell(measurement)])
    return Finding(
        "step",
        "A training step of batch 100 on 28x28 images, MLP 256,128, over that of a plain "
        "auto-encoder of the same layers.",
        measurements,
        ["step", "auto-encoder", "VAE", "ratio of pairs", "of medians", "target"],
        rows,
    )
