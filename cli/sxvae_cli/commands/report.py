"""sxvae report."""

from __future__ import annotations

from pathlib import Path

from sxvae.io.atomic import refuse_existing, write_atomically
from sxvae_cli import options
from sxvae_cli.console import print_line
from sxvae_cli.sources import chosen_run, opened


def report(
    run: options.Run = None,
    out: options.Page = Path("report.html"),
    force: options.ReplaceFile = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put a run's metrics, settings and pictures into one HTML file that needs no other."""
    refuse_existing(out, force)
    chosen = chosen_run(run, runs_dir, quiet)
    with opened(str(chosen.path), runs_dir, device, threads, quiet) as model:
        from sxvae.plotting.report import build_report

        images = model.needed_images(None, "test", data_dir)
        collapsed = model.collapsed(images.x)
        page = build_report(chosen, model.autoencoder, images.x, images.labels, collapsed=collapsed)
    write_atomically(out, page.encode())
    print_line(str(out))
