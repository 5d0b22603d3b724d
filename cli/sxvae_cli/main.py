"""The entry point: light enough that Ctrl-C is answered in a sentence from the first moment on."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_interrupted = False


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt as Python does, and remember it."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from sxvae_cli.app import run

        code = run(lambda: _interrupted)
    except BaseException:
        if not _interrupted:
            raise
        print("interrupted", file=sys.stderr)
        code = 130
    if _interrupted:
        # CPython may remember an interrupt of an extension module and end by the signal after all.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    # The work is done and reported: nothing is left that an interrupt could save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
