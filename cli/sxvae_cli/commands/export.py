"""sxvae export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae.errors import ConfigError
from sxvae.files import refuse_folder
from sxvae.runs import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import print_json, print_table, say
from sxvae_runtime.manifest import is_bundle


def export(
    checkpoint: options.Checkpoint = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write ONNX graphs for sxvae_runtime.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write.", show_default="onnx beside the checkpoint"),
    ] = None,
    force: options.Force = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a bundle that applications run without PyTorch, checked against PyTorch first."""
    if not onnx:
        raise ConfigError("export needs to know the form: give --onnx")
    path = find_checkpoint(checkpoint, runs_dir)
    if checkpoint is None:
        say(f"exporting {path}", quiet)
    target = out if out is not None else path.parent / "onnx"
    refuse_folder(target, force, is_bundle)
    from sxvae_export import export_bundle

    exported = export_bundle(path, target, force=force, device=device, threads=threads)
    if json:
        print_json(
            {
                "bundle": str(exported.path),
                "largest_difference": exported.largest_difference,
                "files": exported.files,
            }
        )
        return
    rows = [(name, f"{size:,} bytes") for name, size in exported.files.items()]
    difference = f"{exported.largest_difference:.1e} (256 inputs, relative to max(1, |value|))"
    print_table(str(exported.path), [*rows, ("largest difference from PyTorch", difference)])
