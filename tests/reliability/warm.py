"""What the server does before its first request: import, and use everything once."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sxvae.runs.checkpoint import read_checkpoint

IMAGES = "images.npy"
# A model and a training as small as they can be: the kills are about files.
TRAINING = (
    "--dataset", IMAGES, "--binarization", "none", "--z-dims", "2", "--h-dims", "4",
    "--epochs", "1", "--burn-in", "0", "--kl-warmup", "0", "--eval-samples", "2", "--threads", "1",
)  # fmt: skip


def write_images(folder: Path) -> None:
    """Write forty 4x4 images: 32 to train on, 4 to validate, 4 to test."""
    pixels = np.random.default_rng(0).random((40, 4, 4)) < 0.3
    np.save(folder / IMAGES, pixels.astype(np.float32))


def warm_up() -> None:
    """Train, evaluate, export, report and encode in the working folder."""
    import torch

    torch.set_num_threads(1)
    write_images(Path())
    _use_one_thread()
    _remember_graphs()
    _remember_pages()
    for seed in ("0", "1"):
        name = ("--seed", seed, "--name", f"seed-{seed}")
        _sxvae("train", *TRAINING, *name, "--sample-every", "1", "--tensorboard")
        _sxvae("export", f"seed-{seed}", "--onnx")
        _sxvae("report", f"seed-{seed}", "--force")
    _sxvae("encode")
    _sxvae("eval")


def _sxvae(*args: str) -> None:
    from sxvae_cli.app import run

    sys.argv = ["sxvae", *args]
    code = run(lambda: False)
    if code:
        raise SystemExit(f"sxvae {' '.join(args)} ended with {code} in {Path.cwd()}")


def _use_one_thread() -> None:
    """Let onnxruntime start no threads, which would wait by taking all processor time."""
    import onnxruntime

    original = onnxruntime.InferenceSession

    def session(content: Any, sess_options: Any = None, **rest: Any) -> Any:
        options = onnxruntime.SessionOptions() if sess_options is None else sess_options
        options.intra_op_num_threads = 1
        return original(content, options, **rest)

    onnxruntime.InferenceSession = session


def _remember_graphs() -> None:
    """Turn a model into ONNX once only: that takes seconds, and writes nothing."""
    bundle: Any = importlib.import_module("sxvae_export.bundle")
    made: dict[tuple[Any, ...], Any] = {}
    original = bundle.to_onnx

    @functools.wraps(original)
    def remembered(part: Any, inputs: Any, stamp: dict[str, str]) -> Any:
        weights = [array.numpy().tobytes() for array in part.state_dict().values()]
        key = (stamp["sxvae.graph"], *weights)
        if key not in made:
            made[key] = original(part, inputs, stamp)
        return made[key]

    bundle.to_onnx = remembered


def _remember_pages() -> None:
    """Draw the pictures of a report once only; they are written together with the page."""
    report: Any = importlib.import_module("sxvae.plotting.report")
    made: dict[bytes, str] = {}
    original = report.build_report

    @functools.wraps(original)
    def remembered(run: Any, *args: Any, **options: Any) -> str:
        tensors = read_checkpoint(run.best).tensors
        key = b"".join(tensor.tobytes() for tensor in tensors.values())
        if key not in made:
            made[key] = original(run, *args, **options)
        return made[key]

    report.build_report = remembered
