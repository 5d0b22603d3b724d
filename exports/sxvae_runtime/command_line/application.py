"""How a Typer application runs here: its exit status, and every error in one sentence."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable

import typer

from sxvae_runtime.command_line import options
from sxvae_runtime.command_line.console import say
from sxvae_runtime.command_line.streams import drop_output, write_what_can_be_encoded
from sxvae_runtime.errors import MissingPackageError, RuntimeBundleError, SettingError
from sxvae_runtime.requirements import requirement
from sxvae_runtime.text import printable

_LONGEST_VALUE = 80

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

Errors = tuple[type[Exception], ...]

# The base of what Typer raises for wrong usage; it has no public name of its own.
_UsageProblem: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)


class InterruptedCommandError(Exception):
    """Ctrl-C, with what is saved and how to go on. Typer would swallow a KeyboardInterrupt."""


def run_application(
    app: typer.Typer,
    name: str,
    was_interrupted: Callable[[], bool],
    *,
    wrong_usage: Errors = (),
    failures: Errors = (),
) -> int:
    """Run a Typer application on the process's arguments.

    Args:
        app: the application.
        name: the command's name, with which its messages begin.
        was_interrupted: whether there was a Ctrl-C.
        wrong_usage: further errors that mean wrong usage, beside those of the runtime.
        failures: further errors whose messages are for the user.

    Returns:
        The exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    Raises:
        KeyboardInterrupt: after Ctrl-C, unless the command itself said what became of its work.
    """
    wrong_usage = (SettingError, MissingPackageError, *wrong_usage)
    failures = (RuntimeBundleError, *failures)
    write_what_can_be_encoded()
    _escape_remarks_of_libraries()
    try:
        code = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except _UsageProblem as problem:
        return _report_usage(problem, name)
    except InterruptedCommandError as interruption:
        say(str(interruption))
        return INTERRUPTED
    except BrokenPipeError as error:  # as by `| head`, which has what it wants
        _print_traceback(error)
        drop_output()
        return FAILED
    except wrong_usage as error:
        return _report_expected(error, name, WRONG_USAGE)
    except failures as error:
        return _report_expected(error, name, FAILED)
    except Exception as error:
        if was_interrupted():  # an extension module may turn an interrupt into an error of its own
            raise KeyboardInterrupt from error
        return _report_unexpected(error, name)
    if code == INTERRUPTED:  # what Typer makes of Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else DONE


class _PrintableFormatter(logging.Formatter):
    """Writes remarks on one line, without what could steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The remark's text."""
        return printable(super().format(record))


def _escape_remarks_of_libraries() -> None:
    """Remarks that no program has asked for go to stderr, and they may name files."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PrintableFormatter())


def _report_usage(problem: BaseException, name: str) -> int:
    """Typer's own complaint as one line, with where to read more."""
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else name
    message = _about_an_option(problem)
    if message is None:
        message = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    if message:  # without arguments the help has been printed already
        message = _one_line(message).replace("Value error, ", "").rstrip(".")
        say(f"{command}: {message}; see {command} --help")
    return WRONG_USAGE


def _about_an_option(problem: BaseException) -> str | None:
    """What is wrong with an option's value, in our words; None where that is not the problem."""
    cause = problem.__cause__
    option = next(iter(getattr(getattr(problem, "param", None), "opts", ())), None)
    complaints = getattr(cause, "errors", None)  # pydantic's, which Typer reads values with
    if option is None or complaints is None:
        return None
    complaint = complaints()[0]
    needed = requirement(complaint)
    return None if needed is None else f"{option} {typed(complaint['input'])}: {needed}"


def typed(value: object) -> str:
    """A value as it would be typed, cut if it is long."""
    text = shlex.quote(printable(str(value)))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _report_expected(error: Exception, name: str, code: int) -> int:
    _print_traceback(error)
    say(f"{name}: {_one_line(str(error))}")
    return code


def _report_unexpected(error: Exception, name: str) -> int:
    _print_traceback(error)
    if isinstance(error, OSError) and error.filename is None:
        say(f"{name}: the output can't be written ({error.strerror or _one_line(str(error))})")
        drop_output()
    elif isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        file = _one_line(printable(os.fsdecode(error.filename)))
        say(f"{name}: {file} can't be used ({error.strerror or error})")
    else:
        kind = type(error).__name__
        say(f"{name}: unexpected {kind}: {_one_line(str(error))}; --debug shows where it arose")
    return FAILED


def _print_traceback(error: Exception) -> None:
    if options.debug_wanted:
        import traceback

        traceback.print_exception(error)


def _one_line(message: str) -> str:
    return " ".join(message.split())
