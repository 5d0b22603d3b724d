"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae_runtime.user_paths import user_path

# Whether --debug asks for tracebacks.
debug_wanted = False


def _want_debug(value: bool) -> bool:
    global debug_wanted
    debug_wanted = debug_wanted or value
    return value


def expanded(path: Path | None) -> Path | None:
    """The callback of every option that is a path: it replaces a leading `~`, as in --out=~/x.

    Raises:
        SettingError: if the home folder is not known.
    """
    return None if path is None else user_path(path)


Bundle = Annotated[
    Path,
    typer.Argument(metavar="BUNDLE", help="A folder that sxvae export wrote.", callback=expanded),
]
Count = Annotated[int, typer.Option("--n", min=1, help="How many images.")]
Png = Annotated[Path, typer.Option(help="The picture to write, a PNG.", callback=expanded)]
PriorSeed = Annotated[int, typer.Option(min=0, help="Random seed of the draws from the prior.")]
ReplaceFile = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no remarks on stderr.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show where an error comes from.", callback=_want_debug),
]
