"""Standard streams that the caller has closed, or whose other end is gone."""

from __future__ import annotations

import contextlib
import io
import os
import sys

_STDIN, _STDOUT, _STDERR = 0, 1, 2


def open_closed_streams() -> None:
    """Let something stand in for each standard stream that the caller has closed.

    Otherwise the next file that is opened gets the stream's number, and what is meant for the
    stream lands in that file. Remarks are dropped then; results can't be written, and that is said.
    """
    for number, flags in (
        (_STDIN, os.O_RDONLY),
        (_STDOUT, os.O_RDONLY),  # so that writing fails
        (_STDERR, os.O_WRONLY),
    ):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = open(_STDIN, closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", closefd=False, encoding="utf-8")  # noqa: SIM115


def write_what_can_be_encoded() -> None:
    """Let a terminal without a character such as "±" still get the numbers around it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output() -> None:
    """Drop what stdout still holds, which can't be written: Python would try again at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        sys.stdout.flush()


def is_live_terminal() -> bool:
    """Whether stderr is a terminal on which a bar can move; FORCE_COLOR makes no file one."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
