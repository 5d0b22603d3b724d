"""sxvae interpolate, which is sxvae plot interpolation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae_cli import options
from sxvae_cli.pictures import check_picture, end_codes, factor_indices, write_picture
from sxvae_cli.sources import opened

_FROM, _TO = 0, 1


def interpolate(
    source: options.Source = None,
    out: options.Picture = Path("interpolation.png"),
    start: Annotated[
        int | None,
        typer.Option("--from", min=0, help="The image to start at.", show_default=str(_FROM)),
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", min=0, help="The image to end at.", show_default=str(_TO))
    ] = None,
    prior: Annotated[
        bool,
        typer.Option(
            "--prior",
            help="An end that is not named is a draw from the prior, as it is for a bundle without "
            "--images.",
        ),
    ] = False,
    steps: Annotated[int, typer.Option(min=2, help="Images in a row, both ends included.")] = 10,
    long_way: Annotated[
        bool,
        typer.Option(
            "--long-way",
            help="Take the longer arc on every sphere; Euclidean factors go straight all the same.",
        ),
    ] = False,
    factor: options.Factors = None,
    images: options.Images = None,
    levels: options.Levels = None,
    split: options.Split = None,
    seed: options.PriorSeed = 0,
    force: options.ReplaceFile = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw the path from one code to another: a row for each factor that moves alone, then all."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import interpolation

        only_draws = prior and start is None and end is None
        given = model.images(images, split, data_dir, only_draws, levels)
        if given is not None and not prior:
            start = _FROM if start is None else start
            end = _TO if end is None else end
        ends = end_codes(model, given, (start, end), seed)
        figure = interpolation(
            model.autoencoder, *ends, steps=steps, long_way=long_way, factors=factor_indices(factor)
        )
        write_picture(figure, out)
