"""What commands print: results to stdout, progress and remarks to stderr."""

from __future__ import annotations

from rich.console import Console

from sxvae_runtime.command_line.console import print_json as print_json
from sxvae_runtime.command_line.console import print_line as print_line
from sxvae_runtime.command_line.console import print_table as print_table
from sxvae_runtime.command_line.console import say as say

remarks = Console(stderr=True, highlight=False)


def as_clock(seconds: float) -> str:
    """Hours, minutes and seconds, as in 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
