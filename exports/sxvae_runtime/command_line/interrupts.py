"""Ctrl-C, answered in one sentence from the first moment on. Imports next to nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from sxvae_runtime.command_line.streams import drop_output, open_closed_streams

_interrupted = False

# Runs a command line and returns the exit status; it is given a function that tells whether there
# was a Ctrl-C.
Run = Callable[[Callable[[], bool]], int]


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt as Python does, and remember it."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def exit_after(run: Run) -> NoReturn:
    """Run a command line and exit with its status, or with 130 after Ctrl-C."""
    signal.signal(signal.SIGINT, _interrupt)
    open_closed_streams()
    try:
        code = run(lambda: _interrupted)
    except BaseException:
        if not _interrupted:
            raise
        with contextlib.suppress(OSError):
            print("interrupted", file=sys.stderr, flush=True)
        code = 130
    if _interrupted:
        # CPython may remember an interrupt of an extension module and end by the signal after all.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    # The work is done and reported: nothing is left that an interrupt could save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except OSError:
        drop_output()
    sys.exit(code)
