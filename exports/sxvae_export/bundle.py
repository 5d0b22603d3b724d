"""From a checkpoint to a bundle: a folder that an application can ship."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

import sxvae
from sxvae.checkpoint import Checkpoint, read_checkpoint
from sxvae.devices import resolve_device, threads_set
from sxvae.errors import NumericalError, OutputError
from sxvae.factors import Factor
from sxvae.files import new_folder
from sxvae.loading import model_of
from sxvae.model import ProductSpaceVAE
from sxvae.randomness import seeded
from sxvae_export.graphs import OPSET, DecoderGraph, EncoderGraph, ports, to_onnx
from sxvae_runtime.manifest import FORMAT_VERSION, MANIFEST, digest, is_bundle

_CHECKED_INPUTS = 256
# A categorical likelihood has 256 numbers for a pixel, so that not all inputs are decoded at once.
_BATCH = 16
_GOLDEN_INPUTS = 4
_TOLERANCE = 1e-4

_Parts = dict[str, EncoderGraph | DecoderGraph]


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: the bundle.
        largest_difference: between onnxruntime and PyTorch over 256 inputs and both graphs,
            relative to max(1, |value|).
        files: their names and sizes in bytes.
    """

    path: Path
    largest_difference: float
    files: dict[str, int]


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    device: str = "cpu",
    threads: int | None = None,
) -> Exported:
    """Export a checkpoint's model as a bundle, checked before it appears at `out`.

    The same checkpoint and the same versions give the same bytes.

    Args:
        checkpoint: a safetensors file of ours.
        out: the folder to write.
        force: replace an older bundle there.
        device: where PyTorch's reference outputs are computed: "auto", "cpu" or "cuda".
        threads: PyTorch's; left as they are if None.

    Raises:
        CheckpointError: if the checkpoint can't be read.
        ConfigError: if the model has its own networks, or there is no such device.
        NumericalError: if the model's outputs are not finite.
        OutputError: if `out` exists and may not be replaced or can't be written, or the graphs'
            outputs differ from PyTorch's by more than 1e-4.
    """
    source = read_checkpoint(Path(checkpoint))
    model = model_of(source).eval()
    reference_device = resolve_device(device)
    target = Path(out)
    with threads_set(threads), new_folder(target, force, is_bundle) as folder:
        inputs = _inputs(model, _CHECKED_INPUTS)
        parts: _Parts = {"encoder": EncoderGraph(model), "decoder": DecoderGraph(model)}
        protos = _graphs(parts, inputs)
        for name, proto in protos.items():
            (folder / f"{name}.onnx").write_bytes(proto.SerializeToString(deterministic=True))
        model.to(reference_device)
        worst = max(_check_against_pytorch(folder, name, parts[name], inputs) for name in parts)
        _write_golden(folder, parts, inputs)
        _write_manifest(folder, source, protos)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Exported(target, worst, files)


def _inputs(model: ProductSpaceVAE, count: int) -> dict[str, Tensor]:
    """Inputs to check and to exemplify the graphs with, half of the images binary."""
    with seeded(0, "export"):
        x = torch.rand(count, *model.settings.input_shape)
        x[::2] = torch.bernoulli(x[::2])
        return {"x": x, "z": model.prior().sample((count,))}


def _graphs(parts: _Parts, inputs: dict[str, Tensor]) -> dict[str, onnx.ModelProto]:
    stamp = {"sxvae.format_version": str(FORMAT_VERSION), "sxvae.version": sxvae.__version__}
    return {
        name: to_onnx(part, inputs[part.inputs[0]][:2], {**stamp, "sxvae.graph": name})
        for name, part in parts.items()
    }


@torch.no_grad()
def _check_against_pytorch(
    folder: Path, name: str, part: EncoderGraph | DecoderGraph, inputs: dict[str, Tensor]
) -> float:
    """The largest relative difference between onnxruntime's and PyTorch's outputs of a graph.

    Raises:
        NumericalError: if an output is not finite.
        OutputError: if it is above the tolerance.
    """
    value = inputs[part.inputs[0]]
    device = part.model.head.loc.weight.device
    batches = [part(rows.to(device)) for rows in value.split(_BATCH)]
    found = run_graph(folder / f"{name}.onnx", value.numpy())
    differences = []
    for ours, theirs in zip(found, zip(*batches, strict=True), strict=True):
        reference = torch.cat(theirs).cpu().numpy()
        scale = np.maximum(1, np.abs(reference))
        differences.append(np.max(np.abs(ours - reference) / scale))
    worst = float(np.max(differences))  # NaN if any is, unlike the builtin max
    if not math.isfinite(worst):
        raise NumericalError(
            "the model's outputs are not finite, so its weights have diverged: the bundle was not "
            "written"
        )
    if worst > _TOLERANCE:
        raise OutputError(
            f"the {name} graph's outputs differ from PyTorch's by {worst:.2g}, more than "
            f"{_TOLERANCE:g}: the bundle was not written"
        )
    return worst


def run_graph(path: Path, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """All outputs of a graph with one input, by a plain onnxruntime session on the CPU."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    batches = [
        session.run(None, {port.name: value[start : start + _BATCH]})
        for start in range(0, len(value), _BATCH)
    ]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _write_golden(folder: Path, parts: _Parts, inputs: dict[str, Tensor]) -> None:
    arrays = {name: value[:_GOLDEN_INPUTS].numpy() for name, value in inputs.items()}
    for name, part in parts.items():
        outputs = run_graph(folder / f"{name}.onnx", arrays[part.inputs[0]])
        arrays |= dict(zip(part.outputs, outputs, strict=True))
    (folder / "golden.safetensors").write_bytes(save(arrays))


def _write_manifest(folder: Path, source: Checkpoint, protos: dict[str, onnx.ModelProto]) -> None:
    model, data = source.settings.model, source.settings.data
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "factors": [_factor_entry(factor) for factor in model.space.factors],
        "input_shape": list(model.input_shape),
        "preprocessing": "float32 in [0, 1]; uint8 is divided by 255; no further scaling",
        "binarization": data.binarization,
        "likelihood": model.likelihood,
        "graphs": {
            name: {
                **_entry(folder / f"{name}.onnx"),
                "opset": OPSET,
                "inputs": ports(proto.graph.input),
                "outputs": ports(proto.graph.output),
            }
            for name, proto in protos.items()
        },
        "golden": _entry(folder / "golden.safetensors"),
        "provenance": {
            "checkpoint_sha256": source.sha256,
            "dataset": data.label,
            "epoch": source.metadata.get("epoch"),
            "metrics": source.metadata.get("metrics"),
            "versions": {
                **source.metadata.get("versions", {}),
                "exported_with": {
                    "sxvae": sxvae.__version__,
                    "torch": str(torch.__version__),
                    "onnx": onnx.__version__,
                },
            },
        },
    }
    content["sha256"] = digest(content)
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _factor_entry(factor: Factor) -> dict[str, str | int]:
    entry: dict[str, str | int] = {
        "family": factor.family,
        "dim": factor.dim,
        "ambient": factor.ambient,
        "offset": factor.offset,
    }
    return entry if factor.covariance is None else {**entry, "covariance": factor.covariance}


def _entry(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
