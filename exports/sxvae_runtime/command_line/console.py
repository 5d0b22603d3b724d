"""What commands print: results to stdout, progress and remarks to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from sxvae_runtime.text import printable

# Names leave so many columns to the values of a table; on a narrow terminal, half of them.
_VALUES_WIDTH = 36


def say(message: str, quiet: bool = False) -> None:
    """A remark on stderr, one line however wide the terminal is."""
    if not quiet:
        with _remarks_dropped_if_need_be():
            print(printable(message), file=sys.stderr, flush=True)


def print_line(message: str) -> None:
    """A result of one line on stdout, fit for a pipe."""
    print(printable(message))


def print_json(document: dict[str, Any]) -> None:
    """Exactly one JSON document on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Names and values on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)), title_justify="left", show_header=False)
    console = Console(highlight=False)
    widest = max(console.width // 2, console.width - _VALUES_WIDTH)
    table.add_column(style="bold", overflow="fold", max_width=widest)
    table.add_column(overflow="fold")
    for name, value in rows:
        # Not as markup: a path may hold [brackets].
        table.add_row(Text(printable(name)), Text(printable(value)))
    console.print(table)


@contextlib.contextmanager
def _remarks_dropped_if_need_be() -> Iterator[None]:
    """A disk that is full of logs ends no work; a reader of remarks who is gone does."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass
