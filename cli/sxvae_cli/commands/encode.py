"""sxvae encode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae.config import SplitName
from sxvae.io.atomic import refuse_existing
from sxvae.runs.directory import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import print_line, say


def encode(
    checkpoint: options.Checkpoint = None,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: .npz, .safetensors or .csv.", callback=options.expanded
        ),
    ] = Path("embeddings.npz"),
    split: Annotated[SplitName, typer.Option(help="Split of the data set.")] = "test",
    samples: Annotated[
        int, typer.Option(min=0, help="Posterior draws for each image, in the array z.")
    ] = 0,
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the posterior draws.")] = 0,
    force: options.ReplaceFile = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write embeddings of images: mean directions, concentrations, labels, posterior draws."""
    refuse_existing(out, force)
    path = find_checkpoint(checkpoint, runs_dir)
    if checkpoint is None:
        say(f"encoding with {path}", quiet)
    import sxvae
    from sxvae.data import load_again
    from sxvae.devices import threads_set
    from sxvae.evaluation.embeddings import check_format, embed, write_embeddings

    check_format(out)
    model, settings = sxvae.load(path, device=device)
    data = load_again(settings.data, data_dir, lambda change: say(change, quiet))
    with threads_set(threads):
        found = embed(model, data, split=split, samples=samples, seed=seed, limit=limit)
    write_embeddings(found, out)
    print_line(str(out))
