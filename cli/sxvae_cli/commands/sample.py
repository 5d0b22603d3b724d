"""sxvae sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sxvae.files import refuse_existing
from sxvae.runs import find_checkpoint
from sxvae_cli import options
from sxvae_cli.console import print_line, say
from sxvae_runtime.manifest import MANIFEST

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|CKPT|BUNDLE]",
            help="A run, a checkpoint, or a bundle (which needs no PyTorch).",
            show_default="the newest run's best",
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    out: Annotated[Path, typer.Option(help="The picture to write, a PNG.")] = Path("samples.png"),
    seed: Annotated[int, typer.Option(min=0, help="Of the prior draws.")] = 0,
    force: options.ForceFile = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Decode draws from the prior into one picture."""
    refuse_existing(out, force)
    if source is not None and (Path(source) / MANIFEST).is_file():
        images = _from_bundle(Path(source), n, seed, threads)
    else:
        path = find_checkpoint(source, runs_dir)
        if source is None:
            say(f"sampling from {path}", quiet)
        images = _from_checkpoint(path, n, seed, device, threads)
    from sxvae.plotting import image_grid, save_png

    save_png(image_grid(images), out)
    print_line(str(out))


def _from_bundle(path: Path, n: int, seed: int, threads: int | None) -> NDArray[Any]:
    import sxvae_runtime

    app = sxvae_runtime.load(path, threads=threads or 1)
    return app.decode(app.sample_prior(n, seed=seed))


def _from_checkpoint(
    path: Path, n: int, seed: int, device: str, threads: int | None
) -> NDArray[Any]:
    import torch

    import sxvae
    from sxvae.devices import resolve_device, threads_set
    from sxvae.randomness import seeded

    target = resolve_device(device)
    model, _ = sxvae.load(path, device=device)
    with threads_set(threads), torch.no_grad(), seeded(seed, "samples", target):
        images: NDArray[Any] = model.decode(model.prior().sample((n,))).mean.cpu().numpy()
    return images
