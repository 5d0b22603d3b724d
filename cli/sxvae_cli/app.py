"""The Typer application behind the command `sxvae`."""

from __future__ import annotations

from collections.abc import Callable

import typer

from sxvae.errors import ConfigError, SxvaeError
from sxvae_cli.lazy import LazyGroup, add_commands
from sxvae_runtime.command_line.application import run_application

app = typer.Typer(
    name="sxvae",
    cls=LazyGroup,
    help="Product-space hyperspherical variational auto-encoders: train, evaluate and ship them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
add_commands(app)


def run(was_interrupted: Callable[[], bool]) -> int:
    """Run the command line; returns the exit status.

    Raises:
        KeyboardInterrupt: after Ctrl-C, unless the command itself said what became of its work.
    """
    return run_application(
        app, "sxvae", was_interrupted, wrong_usage=(ConfigError,), failures=(SxvaeError,)
    )
