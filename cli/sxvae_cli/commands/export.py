"""sxvae export."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sxvae.errors import ConfigError
from sxvae.io.folders import refuse_folder
from sxvae.runs.directory import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import print_json, print_table, say
from sxvae_cli.website import is_website, write_website
from sxvae_runtime.bundle_files import is_bundle
from sxvae_runtime.page import page_files

if TYPE_CHECKING:
    from sxvae_export import AccuracyLoss, Exported


def export(
    checkpoint: options.Checkpoint = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write a bundle of ONNX graphs for sxvae_runtime.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of --onnx to write.",
            show_default="onnx beside the checkpoint",
            callback=options.expanded,
        ),
    ] = None,
    triton: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a Triton model repository, with or without --onnx.",
            callback=options.expanded,
        ),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the explorer, a page with a bundle beside it, with or without --onnx.",
            callback=options.expanded,
        ),
    ] = None,
    quantize: Annotated[
        Literal["int8"] | None,
        typer.Option(
            help="Store weights in 8 bits, for fully connected networks.", show_default="no"
        ),
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Store weights in 16 bits.")] = False,
    allow_accuracy_loss: Annotated[
        bool,
        typer.Option(
            "--allow-accuracy-loss",
            help="Accept any loss of accuracy by --quantize or --float16.",
        ),
    ] = False,
    force: options.Force = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a bundle that applications run without PyTorch, checked against PyTorch first."""
    if not onnx and triton is None and web is None:
        raise ConfigError(
            "export needs to know what to write: give --onnx, --triton DIR or --web DIR"
        )
    if out is not None and not onnx:
        raise ConfigError("--out is the folder of --onnx: give both, or neither")
    if quantize is not None and float16:
        raise ConfigError("--quantize and --float16 are two precisions: give one of them")
    if allow_accuracy_loss and quantize is None and not float16:
        raise ConfigError(
            "--allow-accuracy-loss is for a lower precision: give --quantize int8 or --float16"
        )
    path = find_checkpoint(checkpoint, runs_dir)
    if checkpoint is None:
        say(f"exporting {path}", quiet)
    target = out if out is not None else path.parent / "onnx"
    if onnx and triton is not None and triton.resolve() == target.resolve():
        raise ConfigError("the bundle and the model repository need two folders: name another")
    if onnx:
        refuse_folder(target, force, is_bundle)
    if web is not None:
        page_files()  # said before the work
        refuse_folder(web, force, is_website)
    from sxvae_export import export_bundle
    from sxvae_export import triton as repositories

    if triton is not None:
        refuse_folder(triton, force, repositories.is_model_repository)
    with tempfile.TemporaryDirectory() as unwanted:
        exported = export_bundle(
            path,
            target if onnx else Path(unwanted) / "onnx",
            force=force,
            precision=quantize or ("float16" if float16 else "float32"),
            allow_accuracy_loss=allow_accuracy_loss,
            data_dir=data_dir,
            on_change=lambda change: say(change, quiet),
            device=device,
            threads=threads,
        )
        if triton is not None:
            repositories.write_model_repository(exported.path, triton, force=force)
        if web is not None:
            write_website(exported.path, web, force=force)
    if json:
        print_json(_document(exported, onnx, triton, web))
    else:
        written = [str(folder) for folder in (target if onnx else None, triton, web) if folder]
        print_table(" and ".join(written), _rows(exported))


def _document(
    exported: Exported, onnx: bool, triton: Path | None, web: Path | None
) -> dict[str, Any]:
    return {
        "bundle": str(exported.path) if onnx else None,
        "triton": None if triton is None else str(triton),
        "web": None if web is None else str(web),
        "largest_difference": exported.largest_difference,
        "files": exported.files,
        "accuracy_loss": None
        if exported.accuracy_loss is None
        else exported.accuracy_loss.as_dict(),
    }


def _rows(exported: Exported) -> list[tuple[str, str]]:
    rows = [(name, f"{size:,} bytes") for name, size in exported.files.items()]
    difference = f"{exported.largest_difference:.1e} (256 inputs, relative to max(1, |value|))"
    rows.append(("largest difference from PyTorch", difference))
    if exported.accuracy_loss is not None:
        rows += _accuracy_rows(exported.accuracy_loss)
    return rows


def _accuracy_rows(loss: AccuracyLoss) -> list[tuple[str, str]]:
    sizes = f"{loss.bytes:,} to {loss.bytes_now:,} bytes"
    errors = f"{loss.squared_error:.6f} to {loss.squared_error_now:.6f} ({loss.error_rise:+.2%})"
    return [
        ("encoder and decoder", sizes),
        *((f"difference of {name}", f"{value:.3%}") for name, value in loss.outputs.items()),
        ("squared error of a pixel", errors),
        ("measured on", f"{loss.images:,} validation images"),
    ]
