"""sxvae eval."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Annotated

import typer
from rich.progress import Progress

from sxvae.config import DECODING_MEMORY, EVALUATION_SAMPLES, SplitName
from sxvae.runs.directory import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import as_clock, print_json, remarks, say
from sxvae_cli.metrics_table import print_metrics, say_collapsed
from sxvae_runtime.command_line.streams import is_live_terminal

# An evaluation that takes longer says in a log how far it is.
_SECONDS_BETWEEN_LINES = 30.0


def evaluate(
    checkpoint: options.Checkpoint = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Importance samples per image.")
    ] = EVALUATION_SAMPLES,
    split: Annotated[SplitName, typer.Option(help="Split of the data set.")] = "test",
    limit: options.Limit = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the posterior draws.")] = 0,
    memory: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="MIB",
            help="Memory for decoding samples, in MiB. The random draws do not depend on it.",
        ),
    ] = DECODING_MEMORY,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Also predict labels from the nearest of 100, 600 and 1,000 labelled codes.",
        ),
    ] = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure a model: importance-weighted log-likelihood with its standard error, ELBO and KL.

    Under a Bernoulli likelihood images are binarised once with a constant seed, so that metrics
    of different people compare.
    """
    path = find_checkpoint(checkpoint, runs_dir)
    if checkpoint is None:
        say(f"evaluating {path}", quiet)
    import sxvae
    from sxvae.data import load_again
    from sxvae.devices import threads_set
    from sxvae.evaluation.evaluate import evaluate as measure

    model, settings = sxvae.load(path, device=device)
    data = load_again(settings.data, data_dir, lambda change: say(change, quiet))
    if probe:
        from sxvae.evaluation.probe import check_probe

        check_probe(data, split)
    with threads_set(threads), _progress(quiet) as on_progress:
        metrics = measure(
            model,
            data,
            split=split,
            samples=samples,
            seed=seed,
            limit=limit,
            memory=memory,
            checkpoint=str(path),
            on_progress=on_progress,
        ).as_dict()
        if probe:
            from sxvae.evaluation.probe import probe as nearest_neighbours

            metrics["probe"] = nearest_neighbours(model, data, split=split, limit=limit)
    if json:
        print_json(metrics)
    else:
        print_metrics(metrics)
    say_collapsed(metrics, settings, quiet)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[float, int], None]]:
    """Show a bar on a terminal, and a line every half minute in a log."""
    if quiet:
        yield lambda done, images: None
    elif not is_live_terminal():
        yield _lines()
    else:
        with Progress(console=remarks) as progress:
            task = progress.add_task("images", total=None)
            yield lambda done, images: progress.update(task, completed=done, total=images)


def _lines() -> Callable[[float, int], None]:
    """Print lines on how far an evaluation is and how long it will take."""
    start = last = time.monotonic()

    def report(done: float, images: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES and done < images:
            last = now
            left = (now - start) * (images - done) / done
            say(f"{done:.1f} of {images} images evaluated  time left {as_clock(left)}")

    return report
