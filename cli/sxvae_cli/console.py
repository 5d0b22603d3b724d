"""What commands print: results to stdout, progress and remarks to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

remarks = Console(stderr=True, highlight=False)
results = Console(highlight=False)


def say(message: str, quiet: bool = False) -> None:
    """A remark on stderr, one line however wide the terminal is."""
    if not quiet:
        print(message, file=sys.stderr)


def as_clock(seconds: float) -> str:
    """Hours, minutes and seconds, as in 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def print_json(document: dict[str, Any]) -> None:
    """Exactly one JSON document on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_line(message: str) -> None:
    """A result of one line on stdout, fit for a pipe."""
    print(message)


def print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Names and values on stdout."""
    table = Table(title=Text(title), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # as they are: a path may hold [brackets]
    results.print(table)
