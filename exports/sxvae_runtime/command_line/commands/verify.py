"""sxvae-runtime verify, and sxvae verify."""

from __future__ import annotations

from sxvae_runtime.command_line import options
from sxvae_runtime.command_line.console import print_json, print_line


def verify(
    bundle: options.Bundle,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check a bundle: its hashes, its shapes, and its golden outputs on this machine."""
    import sxvae_runtime

    difference = sxvae_runtime.load(bundle).verify()
    if json:
        print_json({"bundle": str(bundle), "largest_difference": difference})
    else:
        print_line(f"{bundle} is sound: golden outputs reproduced to {difference:.1e}")
