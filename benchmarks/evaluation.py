"""Importance-weighted evaluation beside its decoder and likelihood alone: time and peak memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.performance import Finding, Measurement, seconds_cell, target_cell, timed
from benchmarks.step import HIDDEN, SHAPE
from benchmarks.timing import FEWER_ROUNDS, Task, interleaved
from sxvae import ImageData, ProductSpace, ProductSpaceVAE, Split, evaluate
from sxvae.config import DECODING_MEMORY, DataSettings
from sxvae.models.importance import decoding_parts, slices

DIMS = "4,4"
BATCH, IMAGES, FEWER_IMAGES, GROWTH_IMAGES = 100, 1_000, 100, 20
SAMPLES, MORE_SAMPLES, FEWER_SAMPLES = 500, 5_000, (10, 50)
GROWTH = (10, 100, 1_000, 10_000)
# A run takes seconds, so that fewer than usual are enough.
EVALUATION_ROUNDS = 7
TARGET, MEMORY_TARGET = 1.3, 200.0

_PEAK = "import sys; from benchmarks.evaluation import peak; print(peak(*map(int, sys.argv[1:])))"


def binary_data(images: int) -> ImageData:
    """Binary images of which 13.1% of the pixels are 1, as in MNIST."""
    split = Split((torch.rand(images, *SHAPE) < 0.131).float())
    return ImageData(split, split, split, DataSettings(binarization="none"))


def small_model() -> ProductSpaceVAE:
    return ProductSpaceVAE(ProductSpace.parse(DIMS), SHAPE, HIDDEN).eval()


def limit(model: ProductSpaceVAE, data: ImageData, samples: int) -> Task:
    """Decode stored z and compute log p(x given z), in parts as large as the evaluation's."""
    x = data.test.images(slice(None))
    z = model.prior().sample((min(samples, SAMPLES), BATCH))

    @torch.no_grad()
    def decode_all() -> None:
        for batch in slices(len(x), BATCH):
            images = x[batch]
            given_z: Tensor = torch.empty(samples, len(images), dtype=torch.float64)
            for drawn in slices(samples, len(z)):
                count = drawn.stop - drawn.start
                for part in decoding_parts(model, count, len(images), DECODING_MEMORY):
                    likelihood = model.decode(z[part])
                    given_z[drawn][part] = likelihood.log_prob(images[part[1]]).double()

    return decode_all


def evaluation(model: ProductSpaceVAE, data: ImageData, samples: int) -> Task:
    """What `sxvae eval` does after it has loaded model and data."""
    return lambda: evaluate(model, data, samples=samples)


def peak(ours: int, images: int, samples: int) -> float:
    """The largest memory, in MiB, of this process after it did the limit's work or the program's.

    Read from /proc, because `ru_maxrss` of a child process starts at its parent's peak.
    """
    torch.set_num_threads(2)
    torch.manual_seed(0)
    (evaluation if ours else limit)(small_model(), binary_data(images), samples)()
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's peak memory: Linux does")


def peak_of_a_process(ours: bool, images: int, samples: int) -> float:
    """The result of `peak` in a new process."""
    command = [sys.executable, "-c", _PEAK, str(int(ours)), str(images), str(samples)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return float(done.stdout)


def time_rows(reduced: bool) -> list[tuple[Measurement, list[str]]]:
    """Time by the number of samples on a few images, then the case that has a target."""
    model, rows = small_model(), []
    cases = [(GROWTH_IMAGES, samples) for samples in (FEWER_SAMPLES if reduced else GROWTH)]
    cases += [] if reduced else [(IMAGES, SAMPLES)]
    for images, samples in cases:
        target = TARGET if images == IMAGES else None
        data = binary_data(images)
        tasks = {"limit": limit(model, data, samples), "ours": evaluation(model, data, samples)}
        timings = interleaved(tasks, FEWER_ROUNDS if reduced else EVALUATION_ROUNDS)
        name = f"time, {images:,} images x {samples:,} samples"
        measurement = timed(name, timings["ours"], timings["limit"], target, samples=samples)
        cells = [seconds_cell(timings[key]) for key in ("limit", "ours")]
        rows.append(
            (measurement, [name, *cells, f"{measurement.ratio:.2f}", target_cell(measurement)])
        )
    return rows


def memory_rows(reduced: bool) -> list[tuple[Measurement, list[str]]]:
    """Peak memory of an evaluation above that of a process that does the limit's work, in MiB."""
    images, rows = FEWER_IMAGES if reduced else IMAGES, []
    for samples in FEWER_SAMPLES if reduced else (SAMPLES, MORE_SAMPLES):
        alone = peak_of_a_process(False, images, samples)
        whole = peak_of_a_process(True, images, samples)
        name = f"MiB above the limit's, {images:,} images x {samples:,} samples"
        detail = {"limit_mib": alone, "mib": whole, "samples": samples}
        measurement = Measurement(name, whole - alone, MEMORY_TARGET, detail=detail)
        cells = [f"{alone:.0f} MiB", f"{whole:.0f} MiB", f"{measurement.ratio:.0f} MiB"]
        rows.append((measurement, [name, *cells, target_cell(measurement)]))
    return rows


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    rows = time_rows(reduced) + memory_rows(reduced)
    return Finding(
        "evaluation",
        "Importance-weighted evaluation, space 4,4, 28x28 Bernoulli images, MLP 256,128, over the "
        "decoder and the log-likelihood of the images alone, streamed in parts of the same size.",
        [measurement for measurement, _ in rows],
        ["case", "decoder and likelihood", "sxvae", "ratio or difference", "target"],
        [cells for _, cells in rows],
    )
