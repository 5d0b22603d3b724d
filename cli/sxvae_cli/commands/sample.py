"""sxvae sample."""

from __future__ import annotations

from pathlib import Path

from sxvae_cli import options
from sxvae_cli.sources import opened
from sxvae_runtime.command_line.commands.sample import check_output, write_samples
from sxvae_runtime.command_line.options import Count, Png


def sample(
    source: options.Source = None,
    n: Count = 64,
    out: Png = Path("samples.png"),
    seed: options.PriorSeed = 0,
    force: options.ReplaceFile = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Decode draws from the prior into one plain picture."""
    check_output(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        write_samples(model.autoencoder, n, seed, out)
