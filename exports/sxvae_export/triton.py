"""Write a bundle's graphs as a model repository for the Triton inference server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sxvae.io.folders import new_folder
from sxvae.user_paths import user_path
from sxvae_runtime.bundle_files import read_bundle
from sxvae_runtime.locations import BundlePath, find_bundle
from sxvae_runtime.manifest import Graph

# The server joins requests into batches of at most so many rows.
MAX_BATCH_SIZE = 256

_MARK = "# Written by sxvae export."


def write_model_repository(bundle: BundlePath, out: str | Path, *, force: bool = False) -> Path:
    """Write a folder for `tritonserver --model-repository`, with a model for each graph.

    Args:
        bundle: the bundle, whose files are all checked; what `sxvae_runtime.load` takes.
        out: the folder to write.
        force: replace an older repository of ours there.

    Raises:
        BundleError: if the bundle is damaged.
        OutputError: if `out` exists and may not be replaced, or can't be written.

    Returns:
        The folder.
    """
    manifest, files = read_bundle(find_bundle(bundle))
    target = user_path(out)
    with new_folder(target, force, is_model_repository) as folder:
        for name, graph in manifest.graphs.items():
            version = folder / name / "1"
            version.mkdir(parents=True)
            (version / "model.onnx").write_bytes(files[graph.file])
            text = _configuration(name, graph)
            (folder / name / "config.pbtxt").write_text(text, encoding="utf-8")
    return target


def is_model_repository(folder: Path) -> bool:
    """Whether everything in a folder is a model that we wrote."""
    return all(_is_ours(model / "config.pbtxt") for model in folder.iterdir())


def _is_ours(config: Path) -> bool:
    try:
        return config.read_text(encoding="utf-8").startswith(_MARK)
    except (OSError, ValueError):
        return False


def _configuration(name: str, graph: Graph) -> str:
    """The configuration of one model, in the text format of Triton's ModelConfig."""
    lines = [
        _MARK,
        f"name: {json.dumps(name)}",
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {MAX_BATCH_SIZE}",
        *_ports("input", graph.inputs),
        *_ports("output", graph.outputs),
        "dynamic_batching { }",
    ]
    return "\n".join(lines) + "\n"


def _ports(side: str, ports: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """A line for each input or output, without the batch axis, which the server adds itself."""
    return [
        f"{side} {{ name: {json.dumps(name)} data_type: TYPE_FP32 dims: {list(shape[1:])} }}"
        for name, shape in ports.items()
    ]
