"""Options that several commands share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from sxvae.config import SplitName
from sxvae_runtime.command_line.options import Debug as Debug
from sxvae_runtime.command_line.options import Json as Json
from sxvae_runtime.command_line.options import PriorSeed as PriorSeed
from sxvae_runtime.command_line.options import ReplaceFile as ReplaceFile
from sxvae_runtime.command_line.options import expanded as expanded
from sxvae_runtime.levels import MOST_LEVELS
from sxvae_runtime.user_paths import user_path


def expanded_text(path: str | None) -> str | None:
    """As `expanded`, for a path that is kept as a text.

    Raises:
        SettingError: if the home folder is not known.
    """
    return None if path is None else str(user_path(path)) if path.startswith("~") else path


Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="[CKPT]",
        help="A checkpoint, a run's folder or a run's name.",
        callback=expanded_text,
        show_default="the newest run's best",
    ),
]
Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN|CKPT|BUNDLE]",
        help="A run, a checkpoint, or a bundle (which needs no PyTorch).",
        callback=expanded_text,
        show_default="the newest run's best",
    ),
]
Run = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run's folder or name.",
        show_default="the newest run",
        callback=expanded_text,
    ),
]
RunsDir = Annotated[Path, typer.Option(help="The folder where runs are kept.", callback=expanded)]
DataDir = Annotated[
    str | None,
    typer.Option(
        help="The folder that holds downloaded data sets.",
        callback=expanded_text,
        show_default="$SXVAE_DATA_DIR, else the user's cache folder",
    ),
]
DeviceName = Literal["auto", "cpu", "cuda"]
Device = Annotated[DeviceName, typer.Option(help="Device; auto is CUDA where there is one.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Number of threads of PyTorch.", show_default="as PyTorch chooses"),
]


def _silence_remarks(quiet: bool) -> bool:
    """Keep the remarks that sxvae logs off stderr too."""
    if quiet:
        logging.getLogger("sxvae").setLevel(logging.ERROR)
    return quiet


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", help="No progress and no remarks on stderr.", callback=_silence_remarks
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing run or bundle.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Number of images, from the first on.", show_default="all"),
]
Picture = Annotated[
    Path,
    typer.Option(
        help="The file to write. Its ending is the format: .png, .svg or .pdf.", callback=expanded
    ),
]
Page = Annotated[Path, typer.Option(help="The HTML file to write.", callback=expanded)]
Images = Annotated[
    Path | None,
    typer.Option(
        help="A file of images: .npy, or .npz or .safetensors with x and, if there are labels, y.",
        show_default="the split of the data set that the model was trained on",
        callback=expanded,
    ),
]
Levels = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=MOST_LEVELS,
        help="Levels of the pixels in --images, if they are whole numbers: of N levels 0 is black "
        "and N-1 is white.",
        show_default="those of the model's training images",
    ),
]
Split = Annotated[
    SplitName | None,
    typer.Option(
        help="The split of the model's own data set.",
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
