"""sxvae verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae_cli import options
from sxvae_cli.console import print_json, print_line


def verify(
    bundle: Annotated[Path, typer.Argument(help="A folder that sxvae export wrote.")],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check a bundle: its hashes, its shapes, and its golden outputs on this machine."""
    import sxvae_runtime

    difference = sxvae_runtime.load(bundle).verify()
    if json:
        print_json({"bundle": str(bundle), "largest_difference": difference})
    else:
        print_line(f"{bundle} is sound: golden outputs reproduced to {difference:.1e}")
