"""The entry point of `sxvae`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from sxvae_runtime.command_line.interrupts import exit_after


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    exit_after(_run)


def _run(was_interrupted: Callable[[], bool]) -> int:
    from sxvae_cli.app import run

    return run(was_interrupted)
