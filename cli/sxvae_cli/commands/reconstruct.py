"""sxvae reconstruct, which is sxvae plot reconstructions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae_cli import options
from sxvae_cli.pictures import check_picture, write_picture
from sxvae_cli.sources import opened


def reconstruct(
    source: options.Source = None,
    out: options.Picture = Path("reconstructions.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images, from the first on.")] = 10,
    images: options.Images = None,
    levels: options.Levels = None,
    split: options.Split = None,
    force: options.ReplaceFile = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw originals, and below each the image that its mean code decodes to."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import reconstructions

        x = model.needed_images(images, split, data_dir, levels).x[:n]
        write_picture(reconstructions(model.autoencoder, x), out)
