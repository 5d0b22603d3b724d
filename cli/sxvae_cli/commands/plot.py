"""sxvae plot: a command for each kind of picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae_cli import options
from sxvae_cli.commands.interpolate import interpolate
from sxvae_cli.commands.reconstruct import reconstruct
from sxvae_cli.pictures import check_picture, factor_indices, starting_codes, write_picture
from sxvae_cli.sources import chosen_run, opened

app = typer.Typer(
    help="Draw a model or a run, as PNG, SVG or PDF.", no_args_is_help=True, add_completion=False
)
app.command("reconstructions")(reconstruct)
app.command("interpolation")(interpolate)

_AllImages = Annotated[
    int | None,
    typer.Option("--n", min=1, help="Number of images, from the first on.", show_default="all"),
]


@app.command("samples")
def samples(
    source: options.Source = None,
    out: options.Picture = Path("samples.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    columns: Annotated[
        int | None, typer.Option(min=1, help="Images in a row.", show_default="about a square")
    ] = None,
    seed: options.PriorSeed = 0,
    force: options.ReplaceFile = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw decoded draws from the prior."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import samples as figure

        write_picture(figure(model.autoencoder, n, columns=columns, seed=seed), out)


@app.command("turn")
def turn(
    source: options.Source = None,
    out: options.Picture = Path("turn.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of codes, a row for each.")] = 4,
    steps: Annotated[int, typer.Option(min=2, help="Images in a row, at equal angles.")] = 12,
    factor: Annotated[
        list[int] | None,
        typer.Option(
            "--factor",
            min=1,
            help="Turn this factor, counted from 1. On a larger sphere than a circle the turn is "
            "the great circle from the code through a draw from the prior.",
            show_default="every circle",
        ),
    ] = None,
    prior: options.Prior = False,
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
    """Draw a full turn around each circle factor, the other factors held."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import turn as figure

        given = model.images(images, split, data_dir, prior, levels)
        codes = starting_codes(model, given, n, seed)
        write_picture(
            figure(
                model.autoencoder, codes, steps=steps, factors=factor_indices(factor), seed=seed
            ),
            out,
        )


@app.command("swap")
def swap(
    source: options.Source = None,
    out: options.Picture = Path("swap.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of codes, a row for each.")] = 3,
    draws: Annotated[int, typer.Option(min=1, help="Draws from the prior, a column each.")] = 8,
    factor: options.Factors = None,
    prior: options.Prior = False,
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
    """Replace one factor's code by draws from the prior and keep the rest."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import swap as figure

        given = model.images(images, split, data_dir, prior, levels)
        codes = starting_codes(model, given, n, seed)
        write_picture(
            figure(
                model.autoencoder, codes, draws=draws, factors=factor_indices(factor), seed=seed
            ),
            out,
        )


@app.command("embedding")
def embedding(
    source: options.Source = None,
    out: options.Picture = Path("embedding.png"),
    n: _AllImages = None,
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
    """Draw where the images' mean codes lie on each factor, coloured by label."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import embedding as figure

        given = model.needed_images(images, split, data_dir, levels)
        labels = None if given.labels is None else given.labels[:n]
        x = given.x[:n]
        collapsed = model.collapsed(x)
        write_picture(figure(model.autoencoder, x, labels, collapsed=collapsed), out)


@app.command("concentrations")
def concentrations(
    source: options.Source = None,
    out: options.Picture = Path("concentrations.png"),
    n: _AllImages = None,
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
    """Draw how sure the posteriors are: concentrations, or standard deviations, per factor."""
    check_picture(out, force)
    with opened(source, runs_dir, device, threads, quiet) as model:
        from sxvae.plotting import concentrations as figure

        x = model.needed_images(images, split, data_dir, levels).x[:n]
        write_picture(figure(model.autoencoder, x), out)


@app.command("training")
def training(
    run: options.Run = None,
    out: options.Picture = Path("training.png"),
    force: options.ReplaceFile = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a run's training curves. Needs no PyTorch."""
    check_picture(out, force)
    from sxvae.plotting.report import training_figure

    write_picture(training_figure(chosen_run(run, runs_dir, quiet)), out)
