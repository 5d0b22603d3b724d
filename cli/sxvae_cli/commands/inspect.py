"""sxvae inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.runs.directory import evaluation_of, find_checkpoint
from sxvae_cli import options
from sxvae_cli.sources import is_bundle_target
from sxvae_runtime.command_line.commands.inspect import inspect as inspect_bundle
from sxvae_runtime.command_line.commands.inspect import show


def inspect(
    path: Annotated[
        str,
        typer.Argument(
            help="A checkpoint, a run's folder or name, or a bundle.",
            callback=options.expanded_text,
        ),
    ],
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a checkpoint or a bundle holds, its checksums verified. Needs no PyTorch."""
    if is_bundle_target(path, runs_dir):
        inspect_bundle(Path(path), json)
    else:
        checkpoint = read_checkpoint(find_checkpoint(path, runs_dir))
        show(f"checkpoint {checkpoint.path}", _describe(checkpoint), json)


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    tensors = {
        name: {"dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in checkpoint.tensors.items()
    }
    parameters = sum(int(array.size) for array in checkpoint.part("model").values())
    space = str(checkpoint.settings.model.space)
    evaluation = evaluation_of(checkpoint.path)
    return {
        **checkpoint.metadata,
        **({} if evaluation is None else {"evaluation": evaluation}),
        "space": space,
        "parameters": parameters,
        "tensors": tensors,
    }
