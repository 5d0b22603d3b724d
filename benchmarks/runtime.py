"""The runtime beside a bare onnxruntime session with the same graphs and as many threads."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import sxvae_runtime
from benchmarks.performance import (
    Finding,
    Measurement,
    ratio_cells,
    seconds_cell,
    target_cell,
    timed,
)
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Task, interleaved
from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.config import DataSettings, RunSettings, TrainingSettings
from sxvae.models.loading import to_arrays
from sxvae.runs.checkpoint import write_checkpoint
from sxvae_export import export_bundle

SHAPE, HIDDEN = (1, 28, 28), (256, 128)
BATCHES = (1, 256, 4096)
TARGETS = {"decode": 1.15, "encode": 1.15, "sample": 2.0}
# What each is measured against; drawing posterior samples is compared with encoding.
LIMITS = {"decode": "bare decode", "encode": "bare encode", "sample": "bare encode"}


def export_untrained(folder: Path) -> Path:
    """Export an untrained model of MNIST's shape as a bundle, as `sxvae export` does."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ProductSpaceVAE(ProductSpace.parse("4,4"), SHAPE, HIDDEN)
    settings = RunSettings(
        model=model.settings, data=DataSettings(dataset="mnist"), training=TrainingSettings()
    )
    tensors = {f"model.{name}": array for name, array in to_arrays(model.state_dict()).items()}
    checkpoint = folder / "model.safetensors"
    write_checkpoint(checkpoint, tensors, {"settings": settings.model_dump(mode="json")})
    return export_bundle(checkpoint, folder / "bundle").path


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the default of sxvae_runtime.load
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def tasks(bundle: Path, batch: int) -> dict[str, Task]:
    """Decoding and encoding by bare sessions and by the runtime, and sampling by the runtime.

    A posterior sample is one draw for each image; the same generator is used in every call.
    """
    app = sxvae_runtime.load(bundle)
    encoder, decoder = (_session(bundle / f"{name}.onnx") for name in ("encoder", "decoder"))
    rng = np.random.default_rng(0)
    x = rng.random((batch, *SHAPE), dtype=np.float32)
    z = app.sample_prior(batch, seed=rng)
    q = app.encode(x)
    outputs = [port.name for port in encoder.get_outputs()]
    return {
        "bare decode": lambda: decoder.run(["mean"], {"z": z}),
        "decode": lambda: app.decode(z),
        "bare encode": lambda: encoder.run(outputs, {"x": x}),
        "encode": lambda: app.encode(x),
        "sample": lambda: app.sample_posterior(q, seed=rng),
    }


def run(reduced: bool) -> Finding:
    measurements: list[Measurement] = []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_untrained(Path(folder))
        for batch in BATCHES:
            timings = interleaved(tasks(bundle, batch), FEWER_ROUNDS if reduced else ROUNDS)
            for name, limit in LIMITS.items():
                what = f"{name}, {batch} image{'s' if batch > 1 else ''}"
                rate = batch / timings[name].median
                limit_timing, target = timings[limit], TARGETS[name]
                measurement = timed(
                    what, timings[name], limit_timing, target, images_per_second=rate
                )
                measurements.append(measurement)
                cells = (seconds_cell(timings[key]) for key in (limit, name))
                rates = [f"{rate:,.0f}", *ratio_cells(measurement)]
                rows.append([what, *cells, *rates, target_cell(measurement)])
    return Finding(
        "runtime",
        "Decoding, encoding and drawing once from each posterior, over a bare onnxruntime session "
        "(a draw: over the encoder's), one thread, latent space 4,4, MLP 256,128 on 28x28 images. "
        "The two ratios differ by the session's median over its fastest run: noise of the machine.",
        measurements,
        ["what", "session", "sxvae_runtime", "images/s", "ratio", "of medians", "target"],
        rows,
    )
