"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sxvae.config import SplitName
from sxvae_runtime.command_line.options import Debug as Debug
from sxvae_runtime.command_line.options import Json as Json
from sxvae_runtime.command_line.options import PriorSeed as PriorSeed
from sxvae_runtime.command_line.options import Quiet as Quiet
from sxvae_runtime.command_line.options import ReplaceFile as ReplaceFile

Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="[CKPT]",
        help="A checkpoint, a run's folder or a run's name.",
        show_default="the newest run's best",
    ),
]
Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN|CKPT|BUNDLE]",
        help="A run, a checkpoint, or a bundle (which needs no PyTorch).",
        show_default="the newest run's best",
    ),
]
Run = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="A run's folder or name.", show_default="the newest run"),
]
RunsDir = Annotated[Path, typer.Option(help="The folder where runs are kept.")]
DataDir = Annotated[
    str | None,
    typer.Option(
        help="The folder that holds downloaded data sets.",
        show_default="$SXVAE_DATA_DIR, else the user's cache folder",
    ),
]
DeviceName = Literal["auto", "cpu", "cuda"]
Device = Annotated[DeviceName, typer.Option(help="auto is CUDA where there is one.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="PyTorch's threads.", show_default="as PyTorch chooses"),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there, if it is ours.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take the first so many images.", show_default="all")
]
Picture = Annotated[
    Path, typer.Option(help="The file to write; .png, .svg or .pdf says the format.")
]
Page = Annotated[Path, typer.Option(help="The HTML file to write.")]
Images = Annotated[
    Path | None,
    typer.Option(
        help="Images of your own: .npy, or .npz or .safetensors with x and perhaps labels y.",
        show_default="the split of the data set that the model was trained on",
    ),
]
Split = Annotated[
    SplitName | None,
    typer.Option(
        help="Which images of the model's own data set.",
        show_default="test",
    ),
]
Prior = Annotated[
    bool, typer.Option("--prior", help="Start from draws from the prior instead of images.")
]
Factors = Annotated[
    list[int] | None,
    typer.Option(
        "--factor",
        min=1,
        help="Show this factor, counted from 1; may be given several times.",
        show_default="all",
    ),
]

DEFAULT_RUNS_DIR = Path("runs")
