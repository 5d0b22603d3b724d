"""sxvae inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.runs.directory import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import print_json, print_table
from sxvae_runtime.manifest import MANIFEST, read_manifest


def inspect(
    path: Annotated[str, typer.Argument(help="A checkpoint, a run's folder or name, or a bundle.")],
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a checkpoint or a bundle holds, its checksums verified. Needs no PyTorch."""
    if (Path(path) / MANIFEST).is_file():
        title, content = f"bundle {path}", read_manifest(Path(path)).content
    else:
        checkpoint = read_checkpoint(find_checkpoint(path, runs_dir))
        title, content = f"checkpoint {checkpoint.path}", _describe(checkpoint)
    if json:
        print_json(content)
    else:
        print_table(title, _rows(content))


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    tensors = {
        name: {"dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in checkpoint.tensors.items()
    }
    parameters = sum(int(array.size) for array in checkpoint.part("model").values())
    space = str(checkpoint.settings.model.space)
    return {**checkpoint.metadata, "space": space, "parameters": parameters, "tensors": tensors}


def _rows(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """One row for each entry, nested names joined with dots; tensors as type and shape.

    What a list of named values holds is counted from 1, as factors are in pictures.
    """
    rows = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and set(value) == {"dtype", "shape"}:
            rows.append((name, f"{value['dtype']} {tuple(value['shape'])}"))
        elif isinstance(value, dict):
            rows += _rows(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            rows += _rows({str(i): entry for i, entry in enumerate(value, start=1)}, f"{name}.")
        else:
            rows.append((name, _said(value)))
    return rows


def _said(value: Any) -> str:  # noqa: ANN401 (anything that JSON has)
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)
