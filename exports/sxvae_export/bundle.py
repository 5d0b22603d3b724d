"""Export a checkpoint as a bundle, a folder that an application can ship."""

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
from sxvae.data import pixel_levels
from sxvae.devices import resolve_device, threads_set
from sxvae.errors import OutputError
from sxvae.io.folders import new_folder
from sxvae.models.loading import model_of
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.runs.directory import evaluation_of
from sxvae.user_paths import user_path
from sxvae_export.accuracy_loss import AccuracyLoss, measure_accuracy_loss, validation_images
from sxvae_export.checks import (
    Parts,
    example_inputs,
    golden_arrays,
    largest_difference,
    parts_of,
)
from sxvae_export.graphs import OPSET, ports, to_onnx
from sxvae_export.quantize import Precision, quantize, refuse_precision
from sxvae_runtime.bundle_files import is_bundle, read_bundle
from sxvae_runtime.errors import BundleError
from sxvae_runtime.factors import Factor
from sxvae_runtime.manifest import FORMAT_VERSION, MANIFEST, digest


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: the bundle.
        largest_difference: the largest difference between onnxruntime's and PyTorch's outputs, over
            256 inputs and all graphs in float32, relative to max(1, |value|).
        files: the sizes of the bundle's files in bytes, by their names.
        accuracy_loss: how much accuracy a lower precision costs; None for float32.
    """

    path: Path
    largest_difference: float
    files: dict[str, int]
    accuracy_loss: AccuracyLoss | None = None


def export_bundle(
    checkpoint: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    precision: Precision = "float32",
    allow_accuracy_loss: bool = False,
    data_dir: str | None = None,
    on_change: Callable[[str], None] | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Exported:
    """Export a checkpoint's model as a bundle, which is checked before it appears at `out`.

    The same checkpoint with the same test metrics beside it and the same versions of the packages
    give the same bytes.

    Args:
        checkpoint: the checkpoint's path.
        out: the folder to write.
        force: replace an older bundle there.
        precision: "float32", "int8" or "float16", of encoder and decoder; the sampler stays in
            float32. For the last two the accuracy loss is measured on validation images.
        allow_accuracy_loss: accept a loss above the bounds.
        data_dir: the folder that holds the data set; None for the run's own or the usual one.
        on_change: called with a sentence if the images at a path differ from those of the run.
        device: where PyTorch's reference outputs are computed: "auto", "cpu" or "cuda".
        threads: the number of PyTorch's threads; None leaves it as it is.

    Raises:
        CheckpointError: if the checkpoint can't be read.
        ConfigError: if the model has custom networks, its networks gain nothing from the precision,
            or there is no such device.
        DataError: if the precision is lower and the validation images can't be loaded.
        NumericalError: if the model's outputs are not finite, in float32 or the lower precision.
        OutputError: if `out` exists and may not be replaced or can't be written, if the graphs'
            outputs differ from PyTorch's by more than 1e-4, if the accuracy loss is above the
            bounds, or if an application would refuse the bundle.
    """
    source = read_checkpoint(user_path(checkpoint))
    model = model_of(source).eval()
    refuse_precision(precision, source.settings.model)
    reference_device = resolve_device(device)
    target = user_path(out)
    with threads_set(threads), new_folder(target, force, is_bundle) as folder:
        images = None
        if precision != "float32":
            images = validation_images(source, model, data_dir, on_change)
        parts = parts_of(model)
        inputs = example_inputs(model, parts)
        protos = _graphs(parts, inputs)
        graphs = _serialised(protos)
        worst = largest_difference(graphs, parts, inputs, reference_device)
        loss = None
        if images is not None:
            protos |= {name: quantize(protos[name], precision) for name in ("encoder", "decoder")}
            full, graphs = graphs, _serialised(protos)
            loss = measure_accuracy_loss(full, graphs, images)
            loss.refuse_large(allowed=allow_accuracy_loss)
        for name, graph in graphs.items():
            (folder / f"{name}.onnx").write_bytes(graph)
        (folder / "golden.safetensors").write_bytes(save(golden_arrays(graphs, parts, inputs)))
        _write_manifest(folder, source, protos, precision, loss)
        _refuse_unreadable(folder)
        files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return Exported(target, worst, files, loss)


def _refuse_unreadable(folder: Path) -> None:
    """Read a bundle as applications do, who take it from anybody and are strict.

    Raises:
        OutputError: if they would refuse it.
    """
    try:
        read_bundle(folder)
    except BundleError as error:
        raise OutputError(
            f"applications would refuse this bundle ({error}): it was not written"
        ) from error


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
    precision: Precision,
    loss: AccuracyLoss | None,
) -> None:
    model, data = source.settings.model, source.settings.data
    levels = pixel_levels(data)
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "factors": [_factor_entry(factor) for factor in model.space.factors],
        "input_shape": list(model.input_shape),
        "preprocessing": _preprocessing(levels),
        **({} if levels is None else {"levels": levels}),
        "binarization": data.binarization,
        **({} if data.class_names is None else {"class_names": list(data.class_names)}),
        "likelihood": model.likelihood,
        # Keys of format 1 keep their names: other programs read them.
        "form": precision,
        "drift": None if loss is None else loss.as_dict(),
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
            **_evaluation(source),
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


def _evaluation(source: Checkpoint) -> dict[str, Any]:
    """The run's test metrics, from which applications learn what each factor says."""
    evaluation = evaluation_of(source.path)
    if evaluation is None:
        return {}
    # Its path is of no use elsewhere.
    kept = {key: value for key, value in evaluation.items() if key != "checkpoint"}
    try:
        json.dumps(kept, allow_nan=False)
    except ValueError:
        return {}  # somebody's edit: bundles take no metrics that are not finite
    return {"evaluation": kept}


def _preprocessing(levels: int | None) -> str:
    white = 255 if levels is None else levels - 1
    return f"float32 in [0, 1]; uint8 is divided by {white}; no further scaling"


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
