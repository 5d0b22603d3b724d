"""The Typer application behind the command `sxvae`, and what becomes of errors."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import typer

from sxvae.errors import ConfigError, SxvaeError
from sxvae_cli import errors
from sxvae_cli.console import say
from sxvae_cli.errors import InterruptedCommandError
from sxvae_cli.lazy import LazyGroup, add_commands
from sxvae_runtime.errors import RuntimeBundleError

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

# The base of what Typer raises for wrong usage; it has no public name of its own.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "±" still gets its figures
    try:
        code = app(prog_name="sxvae", standalone_mode=False)
        sys.stdout.flush()
    except _UsageProblem as problem:
        return _wrong_usage(problem)
    except InterruptedCommandError as interruption:
        say(str(interruption))
        return INTERRUPTED
    except ConfigError as error:
        return _report(error, WRONG_USAGE)
    except Exception as error:
        if was_interrupted():  # an extension module may turn an interrupt into an error of its own
            raise KeyboardInterrupt from error
        return _report(error, FAILED)
    if code == INTERRUPTED:  # what Typer makes of Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else DONE


def _wrong_usage(problem: BaseException) -> int:
    """Typer's own complaint as one line, with where to read more."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "sxvae"
    message = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    if message:  # `sxvae` alone has printed its help already
        message = message.replace("Value error, ", "").rstrip(".")
        say(f"{command}: {message}; see {command} --help")
    return WRONG_USAGE


def _report(error: Exception, code: int) -> int:
    if errors.debug_wanted:
        import traceback

        traceback.print_exception(error)
    sentence = " ".join(str(error).split())
    if isinstance(error, SxvaeError | RuntimeBundleError):
        say(f"sxvae: {sentence}")
    elif isinstance(error, OSError) and error.filename is None:
        say(f"sxvae: the output can't be written ({error.strerror or sentence})")
    else:
        say(f"sxvae: unexpected {type(error).__name__}: {sentence}; --debug shows where it arose")
    return code
