"""Options that several commands share, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

debug_wanted = False


def _want_debug(value: bool) -> bool:
    global debug_wanted
    debug_wanted = debug_wanted or value
    return value


Checkpoint = Annotated[
    str | None,
    typer.Argument(
        metavar="[CKPT]",
        help="A checkpoint, a run's folder or a run's name.",
        show_default="the newest run's best",
    ),
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
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks on stderr.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there, if it is ours.")]
ForceFile = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take the first so many images.", show_default="all")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show where an error comes from.", callback=_want_debug),
]

DEFAULT_RUNS_DIR = Path("runs")
