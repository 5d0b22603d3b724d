"""From a checkpoint to a bundle: a folder that an application can ship."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import onnxscript
import torch
from safetensors.numpy import save
from torch import Tensor

import sxvae
from sxvae.devices import resolve_device, threads_set
from sxvae.io.atomic import new_folder
from sxvae.models.loading import model_of
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae_export.checks import (
    Parts,
    example_inputs,
    golden_arrays,
    largest_difference,
    parts_of,
)
from sxvae_export.drift import Drift, measure, validation_images
from sxvae_export.graphs import OPSET, ports, to_onnx
from sxvae_export.smaller import Form, refuse_form, smaller
from sxvae_runtime.factors import Factor
from sxvae_runtime.manifest import FORMAT_VERSION, MANIFEST, digest, is_bundle


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: the bundle.
        largest_difference: between onnxruntime and PyTorch over 256 inputs and all graphs in
            float32, relative to max(1, |value|).
        files: their names and sizes in bytes.
        drift: what a smaller form costs; None for float32.
    """

    path: Path
    largest_difference: float
    files: dict[str, int]
    drift: Drift | None = None


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    form: Form = "float32",
    allow_drift: bool = False,
    data_dir: str | None = None,
    on_change: Callable[[str], None] | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Exported:
    """Export a checkpoint's model as a bundle, checked before it appears at `out`.

    The same checkpoint and the same versions give the same bytes.

    Args:
        checkpoint: a safetensors file of ours.
        out: the folder to write.
        force: replace an older bundle there.
        form: of encoder and decoder: "float32", "int8" or "float16"; the last two are measured on
            validation images of the run's data set. The sampler stays as it is.
        allow_drift: write a smaller form even if it is over the bounds.
        data_dir: the folder that holds the data set, if not the usual one.
        on_change: told in a sentence if a path's images are no longer those of the run.
        device: where PyTorch's reference outputs are computed: "auto", "cpu" or "cuda".
        threads: PyTorch's; left as they are if None.

    Raises:
        CheckpointError: if the checkpoint can't be read.
        ConfigError: if the model has its own networks or can't take the form, or there is no such
            device.
        DataError: if a smaller form is wanted and the validation images can't be had.
        NumericalError: if the model's outputs are not finite, in float32 or in the smaller form.
        OutputError: if `out` exists and may not be replaced or can't be written, the graphs'
            outputs differ from PyTorch's by more than 1e-4, or a smaller form's from float32's by
            more than the bounds.
    """
    source = read_checkpoint(Path(checkpoint))
    model = model_of(source).eval()
    refuse_form(form, source.settings.model)
    reference_device = resolve_device(device)
    target = Path(out)
    with threads_set(threads), new_folder(target, force, is_bundle) as folder:
        images = None
        if form != "float32":
            images = validation_images(source, model, data_dir, on_change)
        parts = parts_of(model)
        inputs = example_inputs(model, parts)
        protos = _graphs(parts, inputs)
        graphs = _serialised(protos)
        worst = largest_difference(graphs, parts, inputs, reference_device)
        drift = None
        if images is not None:
            protos |= {name: smaller(protos[name], form) for name in ("encoder", "decoder")}
            full, graphs = graphs, _serialised(protos)
            drift = measure(full, graphs, images)
            drift.refuse_large(allowed=allow_drift)
        for name, graph in graphs.items():
            (folder / f"{name}.onnx").write_bytes(graph)
        (folder / "golden.safetensors").write_bytes(save(golden_arrays(graphs, parts, inputs)))
        _write_manifest(folder, source, protos, form, drift)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Exported(target, worst, files, drift)


def _serialised(protos: Mapping[str, onnx.ModelProto]) -> dict[str, bytes]:
    return {name: proto.SerializeToString(deterministic=True) for name, proto in protos.items()}


def _graphs(parts: Parts, inputs: Mapping[str, Tensor]) -> dict[str, onnx.ModelProto]:
    stamp = {"sxvae.format_version": str(FORMAT_VERSION), "sxvae.version": sxvae.__version__}
    return {
        name: to_onnx(
            part, [inputs[key][:2] for key in part.inputs], {**stamp, "sxvae.graph": name}
        )
        for name, part in parts.items()
    }


def _write_manifest(
    folder: Path,
    source: Checkpoint,
    protos: Mapping[str, onnx.ModelProto],
    form: Form,
    drift: Drift | None,
) -> None:
    model, data = source.settings.model, source.settings.data
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "factors": [_factor_entry(factor) for factor in model.space.factors],
        "input_shape": list(model.input_shape),
        "preprocessing": "float32 in [0, 1]; uint8 is divided by 255; no further scaling",
        "binarization": data.binarization,
        "likelihood": model.likelihood,
        "form": form,
        "drift": None if drift is None else drift.as_dict(),
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
                    "onnxruntime": onnxruntime.__version__,
                    "onnxscript": onnxscript.__version__,
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
