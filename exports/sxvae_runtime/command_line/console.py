"""What commands print: results to stdout, progress and remarks to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(message: str, quiet: bool = False) -> None:
    """A remark on stderr, one line however wide the terminal is."""
    if not quiet:
        print(message, file=sys.stderr)


def print_line(message: str) -> None:
    """A result of one line on stdout, fit for a pipe."""
    print(message)


def print_json(document: dict[str, Any]) -> None:
    """Exactly one JSON document on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Names and values on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # as they are: a path may hold [brackets]
    Console(highlight=False).print(table)
