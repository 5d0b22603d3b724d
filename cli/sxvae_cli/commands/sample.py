"""sxvae sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae.errors import ConfigError
from sxvae.io.atomic import refuse_existing
from sxvae_cli import options
from sxvae_cli.console import print_line
from sxvae_cli.sources import opened


def sample(
    source: options.Source = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    out: Annotated[Path, typer.Option(help="The picture to write, a PNG.")] = Path("samples.png"),
    seed: options.PriorSeed = 0,
    force: options.ReplaceFile = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Decode draws from the prior into one plain picture."""
    refuse_existing(out, force)
    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out}: a plain picture is a .png; sxvae plot samples has other formats")
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import image_grid, save_png

        save_png(
            image_grid(model.autoencoder.decode(model.autoencoder.sample_prior(n, seed=seed))), out
        )
    print_line(str(out))
