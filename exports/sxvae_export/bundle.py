"""From a checkpoint to a bundle: a folder that an application can ship."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors.numpy import save
from torch import Tensor

import sxvae
from sxvae.checkpoint import Checkpoint, read_checkpoint
from sxvae.devices import resolve_device, threads_set
from sxvae.factors import Factor
from sxvae.files import new_folder
from sxvae.loading import model_of
from sxvae_export.checks import (
    Parts,
    example_inputs,
    golden_arrays,
    largest_difference,
    parts_of,
)
from sxvae_export.graphs import OPSET, ports, to_onnx
from sxvae_runtime.manifest import FORMAT_VERSION, MANIFEST, digest, is_bundle


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: the bundle.
        largest_difference: between onnxruntime and PyTorch over 256 inputs and all graphs,
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
        parts = parts_of(model)
        inputs = example_inputs(model, parts)
        protos = _graphs(parts, inputs)
        for name, proto in protos.items():
            (folder / f"{name}.onnx").write_bytes(proto.SerializeToString(deterministic=True))
        worst = largest_difference(folder, parts, inputs, reference_device)
        (folder / "golden.safetensors").write_bytes(save(golden_arrays(folder, parts, inputs)))
        _write_manifest(folder, source, protos)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Exported(target, worst, files)


def _graphs(parts: Parts, inputs: Mapping[str, Tensor]) -> dict[str, onnx.ModelProto]:
    stamp = {"sxvae.format_version": str(FORMAT_VERSION), "sxvae.version": sxvae.__version__}
    return {
        name: to_onnx(
            part, [inputs[key][:2] for key in part.inputs], {**stamp, "sxvae.graph": name}
        )
        for name, part in parts.items()
    }


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
