"""Commands that are imported when they are run, so that `sxvae --help` is there at once."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from sxvae.errors import ConfigError

# By the command's name: where it is, as "module:function" under `sxvae_cli.commands` (or a Typer
# application, which is a group of commands), and how its help begins.
COMMANDS = {
    "train": (
        "train:train",
        "Train a model; keep it, its checkpoints and its test metrics in a run directory.",
    ),
    "eval": (
        "evaluate:evaluate",
        "Measure a model: importance-weighted log-likelihood with its standard error, ELBO and KL.",
    ),
    "encode": (
        "encode:encode",
        "Write embeddings of images: mean directions, concentrations, labels, posterior draws.",
    ),
    "export": (
        "export:export",
        "Write a bundle that applications run without PyTorch, checked against PyTorch first.",
    ),
    "sample": ("sample:sample", "Decode draws from the prior into one plain picture."),
    "reconstruct": (
        "reconstruct:reconstruct",
        "Draw originals, and below each the image that its mean code decodes to.",
    ),
    "interpolate": (
        "interpolate:interpolate",
        "Draw the path from one code to another: a row for each factor that moves alone, then all.",
    ),
    "report": (
        "report:report",
        "Put a run's metrics, settings and pictures into one HTML file that needs no other.",
    ),
    "inspect": (
        "inspect:inspect",
        "Show what a checkpoint or a bundle holds, its checksums verified. Needs no PyTorch.",
    ),
    "verify": (
        "verify:verify",
        "Check a bundle: its hashes, its shapes, and its golden outputs on this machine.",
    ),
    "serve": (
        "serve:serve",
        "Serve a bundle over HTTP: Open Inference Protocol v2, plain JSON or PNG, a page to "
        "explore.",
    ),
    "plot": ("plot:app", "Draw a model or a run, as PNG, SVG or PDF."),
}


class LazyGroup(TyperGroup):
    """Shows what `add_commands` has put in, and runs what that stands for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 (Typer has no public name for these)
        """The command that the arguments name, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _imported(name), rest

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Run the command; an error about a setting then begins with the setting's option.

        Raises:
            ConfigError: as the command raised it, but for the beginning of its text.
        """
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            if error.setting is None:
                raise
            from sxvae_cli.setting_options import flag

            found = "" if error.found is None else f", not {error.found}"
            raise ConfigError(f"{flag(error.setting)}: {error.message}{found}") from error


def add_commands(app: typer.Typer) -> None:
    """Put the names and summaries of all commands into an application of `LazyGroup`."""
    for name, (_, summary) in COMMANDS.items():
        app.command(name, help=summary)(_stand_in)


def _stand_in() -> None:
    """Never run."""


def _imported(name: str) -> Any:  # noqa: ANN401
    home, attribute = COMMANDS[name][0].split(":")
    target = getattr(importlib.import_module(f"sxvae_cli.commands.{home}"), attribute)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(target)
    return typer.main.get_command(single)
