"""The entry point of `sxvae-runtime`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from sxvae_runtime.command_line import NAME
from sxvae_runtime.command_line.interrupts import exit_after


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    exit_after(_run)


def _run(was_interrupted: Callable[[], bool]) -> int:
    from sxvae_runtime.command_line.extra import require
    from sxvae_runtime.errors import MissingPackageError

    try:
        require("the command", "typer", "rich")
    except MissingPackageError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    from sxvae_runtime.command_line.app import app
    from sxvae_runtime.command_line.application import run_application

    return run_application(app, NAME, was_interrupted)
