"""The entry point: light enough that Ctrl-C is answered in a sentence from the first moment on."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    try:
        from sxvae_cli.app import run

        code = run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    # The work is done and reported: nothing is left that an interrupt could save.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)
