"""The Typer application behind the command `sxvae`, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from sxvae.errors import ConfigError, SxvaeError
from sxvae_cli import options
from sxvae_cli.commands import evaluate, export, inspect, sample, train, verify
from sxvae_cli.console import say
from sxvae_runtime.errors import RuntimeBundleError

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

# The base of what Typer raises for wrong usage; it has no public name of its own.
_UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="sxvae",
    help="Product-space hyperspherical variational auto-encoders: train, evaluate and ship them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("export")(export.export)
app.command("sample")(sample.sample)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(prog_name="sxvae", standalone_mode=False)
    except _UsageProblem as problem:
        return _wrong_usage(problem)
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted")
        return INTERRUPTED
    except ConfigError as error:
        return _report(error, WRONG_USAGE)
    except Exception as error:
        return _report(error, FAILED)
    return code if isinstance(code, int) else DONE


def _wrong_usage(problem: BaseException) -> int:
    """Typer's own complaint as one line, with where to read more."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "sxvae"
    message = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    if message:  # `sxvae` alone has printed its help already
        say(f"{command}: {message.rstrip('.')}; see {command} --help")
    return WRONG_USAGE


def _report(error: Exception, code: int) -> int:
    if options.debug_wanted:
        import traceback

        traceback.print_exception(error)
    expected = isinstance(error, (SxvaeError, RuntimeBundleError))
    sentence = " ".join(str(error).split())
    if expected:
        say(f"sxvae: {sentence}")
    else:
        say(f"sxvae: unexpected {type(error).__name__}: {sentence}; --debug shows where it arose")
    return code
