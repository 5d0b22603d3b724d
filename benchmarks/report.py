"""Shared by the benchmarks: options, a Markdown table, an exit status if a bound is broken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence


def arguments(description: str | None) -> argparse.Namespace:
    """Parse the options that all benchmarks share."""
    return parser(description).parse_args()


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the shared options, to which a benchmark adds its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--reduced",
        action="store_true",
        help="fewer cases and samples, extremes included; to test that it runs",
    )
    return parser


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def finish(broken: Sequence[str]) -> None:
    """Name the broken bounds and exit with 1, or say that there are none."""
    if broken:
        print("\n".join(["", "Broken bounds:", *broken]), file=sys.stderr)
        sys.exit(1)
    print("\nEvery bound holds.")
