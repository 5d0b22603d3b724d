"""The Typer application behind the command `sxvae-runtime`."""

from __future__ import annotations

import typer

from sxvae_runtime.command_line import NAME
from sxvae_runtime.command_line.commands.inspect import inspect
from sxvae_runtime.command_line.commands.sample import sample
from sxvae_runtime.command_line.commands.serve import serve
from sxvae_runtime.command_line.commands.verify import verify

app = typer.Typer(
    name=NAME,
    help="Run a bundle that `sxvae export` wrote, without PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, verify, inspect, sample):
    app.command(command.__name__)(command)
