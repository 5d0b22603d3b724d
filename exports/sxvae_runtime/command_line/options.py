"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# Whether --debug asks for tracebacks.
debug_wanted = False


def _want_debug(value: bool) -> bool:
    global debug_wanted
    debug_wanted = debug_wanted or value
    return value


Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that sxvae export wrote.")]
Count = Annotated[int, typer.Option("--n", min=1, help="How many images.")]
Png = Annotated[Path, typer.Option(help="The picture to write, a PNG.")]
PriorSeed = Annotated[int, typer.Option(min=0, help="Random seed of the draws from the prior.")]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show where an error comes from.", callback=_want_debug),
]
