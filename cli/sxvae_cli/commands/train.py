"""sxvae train."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sxvae.config import (
    Binarization,
    DataSettings,
    ModelSettings,
    RunSettings,
    Settings,
    TrainingSettings,
)
from sxvae.errors import ConfigError, TrainingInterrupted
from sxvae.runs import find_run, new_run, read_config
from sxvae.spaces import ProductSpace
from sxvae_cli import options
from sxvae_cli.console import print_json, print_line, remarks, say
from sxvae_cli.errors import InterruptedCommandError
from sxvae_cli.figures import print_figures

if TYPE_CHECKING:
    from sxvae.training import Observer, Run

_TRAINING = TrainingSettings()
_DATA = DataSettings()
_MODEL = ModelSettings(input_shape=(1, 1, 1))  # the shape comes from the data


def _default(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def train(
    z_dims: Annotated[
        str | None,
        typer.Option(
            help="Each sphere's dimension, with commas.", show_default=_default(_MODEL.z_dims)
        ),
    ] = None,
    distribution: Annotated[
        str | None,
        typer.Option(
            help="The posterior's family: vmf or power-spherical; one for all, or one for each "
            "sphere, with commas.",
            show_default=_default(_MODEL.distribution),
        ),
    ] = None,
    h_dims: Annotated[
        str | None,
        typer.Option(
            help="Widths of the encoder's layers, mirrored in the decoder.",
            show_default=_default(_MODEL.hidden_dims),
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="digits or mnist.", show_default=_DATA.dataset)
    ] = None,
    data_dir: options.DataDir = None,
    binarization: Annotated[
        Binarization | None,
        typer.Option(
            help="Grey training images become binary anew each time (dynamic) or once (fixed); "
            "none takes images that are binary already.",
            show_default=_DATA.binarization,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training images.", show_default=str(_TRAINING.epochs)),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Adam's learning rate.", show_default=str(_TRAINING.lr))
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step.", show_default=str(_TRAINING.batch_size))
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of all chance.", show_default=str(_TRAINING.seed))
    ] = None,
    kl_warmup: Annotated[
        int | None,
        typer.Option(
            help="Epochs over which the KL's weight grows from 0; 0 for none.",
            show_default=str(_TRAINING.kl_warmup),
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="The KL's weight after warm-up.", show_default=str(_TRAINING.beta)),
    ] = None,
    look_ahead: Annotated[
        int | None,
        typer.Option(
            help="Epochs without a better validation ELBO after which training stops.",
            show_default=str(_TRAINING.look_ahead),
        ),
    ] = None,
    burn_in: Annotated[
        int | None,
        typer.Option(
            help="Epochs before the best model is chosen and early stopping counts.",
            show_default=str(_TRAINING.burn_in),
        ),
    ] = None,
    min_improvement: Annotated[
        float | None,
        typer.Option(
            help="Nats by which the validation ELBO must rise to count as better.",
            show_default=str(_TRAINING.min_improvement),
        ),
    ] = None,
    eval_samples: Annotated[
        int | None,
        typer.Option(
            help="Importance samples of the test figures at the end; 0 leaves them out.",
            show_default=str(_TRAINING.eval_samples),
        ),
    ] = None,
    sample_every: Annotated[
        int | None,
        typer.Option(
            help="Epochs between pictures under samples/; 0 for none.",
            show_default=str(_TRAINING.sample_every),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Take the settings of this config.json; options beside it come first."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run, by its folder or name."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The run's name.", show_default="<dataset>-<space>-<UTC time>"),
    ] = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    force: options.Force = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Train a model; keep it, its checkpoints and its test figures in a run directory.

    Ctrl-C stops at the last complete epoch; --resume goes on from there.
    """
    given = {
        "z_dims": z_dims,
        "distribution": distribution,
        "hidden_dims": h_dims,
        "dataset": dataset,
        "data_dir": data_dir,
        "binarization": binarization,
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "seed": seed,
        "kl_warmup": kl_warmup,
        "beta": beta,
        "look_ahead": look_ahead,
        "burn_in": burn_in,
        "min_improvement": min_improvement,
        "eval_samples": eval_samples,
        "sample_every": sample_every,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if resume is not None:
        _refuse_beside_resume({**given, "config": config, "name": name, "force": force or None})
        run = _resume(resume, runs_dir, epochs, data_dir, device, threads, quiet)
    else:
        settings = _settings(given, config)
        new_run(runs_dir, name, settings, force)
        run = _fit(settings, given, name, runs_dir, force, device, threads, quiet)
    _print(run, json, quiet)


def _refuse_beside_resume(given: dict[str, Any]) -> None:
    others = [key for key, value in given.items() if value is not None]
    others = [key for key in others if key not in ("epochs", "data_dir")]
    if others:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in others).replace("hidden", "h")
        raise ConfigError(
            f"{flags} can't stand beside --resume: a run goes on with its own settings, and only "
            "--epochs may extend it"
        )


def _settings(given: dict[str, Any], config: Path | None) -> RunSettings:
    """The settings of a config.json, if one is named, under those given; validated."""
    sections: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "training": {}}
    if config is not None:
        content = read_config(config)
        sections = RunSettings.read(content).model_dump()
    values = dict(given)
    if "z_dims" in values or "distribution" in values:
        space = _space(values.get("z_dims"), values.get("distribution"), sections["model"])
        values |= {"z_dims": space.dims, "distribution": space.families}
    if "hidden_dims" in values:
        values["hidden_dims"] = _widths(values["hidden_dims"])
    if "data_dir" in values:
        values["data_dir"] = str(Path(values["data_dir"]).absolute())
    kinds: dict[str, type[Settings]] = {
        "model": ModelSettings,
        "data": DataSettings,
        "training": TrainingSettings,
    }
    for section, kind in kinds.items():
        sections[section] |= {k: v for k, v in values.items() if k in kind.model_fields}
    sections["model"].setdefault("input_shape", (1, 1, 1))  # the data decide it
    return RunSettings.read({name: kind.read(sections[name]) for name, kind in kinds.items()})


def _space(z_dims: str | None, distribution: str | None, stored: dict[str, Any]) -> ProductSpace:
    """The space that the two options say; what one leaves out comes from what is stored."""
    dims = z_dims if z_dims is not None else _default(stored.get("z_dims", _MODEL.z_dims))
    try:
        families = ProductSpace.parse(dims).families
    except ConfigError as error:
        raise ConfigError(f"--z-dims: {error}") from None
    kept = tuple(dict.fromkeys(stored.get("distribution", families[:1])))
    if len(kept) > 1:  # each sphere has its own: they fit the stored dimensions only
        kept = tuple(stored["distribution"])
    try:
        return ProductSpace.parse(dims, distribution or _default(kept))
    except ConfigError as error:
        raise ConfigError(f"--distribution: {error}") from None


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]+", part) and int(part) > 0 for part in parts):
        raise ConfigError(f"--h-dims: {text!r} is not a list of widths such as 256,128")
    return tuple(int(part) for part in parts)


def _fit(
    settings: RunSettings,
    given: dict[str, Any],
    name: str | None,
    runs_dir: Path,
    force: bool,
    device: str,
    threads: int | None,
    quiet: bool,
) -> Run:
    from sxvae.data import load_data
    from sxvae.devices import resolve_device
    from sxvae.training import fit, initial_model

    resolve_device(device)  # refused before any data are fetched
    data = load_data(settings.data)
    shaped = settings.model.model_copy(update={"input_shape": data.image_shape})
    model = initial_model(settings.model_copy(update={"model": shaped}))
    with _saying_how_to_resume(runs_dir), _observer(quiet) as observer:
        return fit(
            model,
            data,
            settings.training,
            name=name,
            runs_dir=runs_dir,
            force=force,
            device=device,
            threads=threads,
            given=given,
            observer=observer,
        )


def _resume(
    run: str,
    runs_dir: Path,
    epochs: int | None,
    data_dir: str | None,
    device: str,
    threads: int | None,
    quiet: bool,
) -> Run:
    directory = find_run(run, runs_dir)
    from sxvae.data import load_data, located
    from sxvae.training import resume

    data = None
    if data_dir is not None:
        stored = RunSettings.read(read_config(directory.config)).data
        data = load_data(located(stored, data_dir))
    with _saying_how_to_resume(runs_dir), _observer(quiet) as observer:
        return resume(
            run,
            runs_dir=runs_dir,
            epochs=epochs,
            device=device,
            threads=threads,
            data=data,
            observer=observer,
        )


@contextlib.contextmanager
def _saying_how_to_resume(runs_dir: Path) -> Iterator[None]:
    try:
        yield
    except TrainingInterrupted as interruption:
        where = "" if runs_dir == options.DEFAULT_RUNS_DIR else f" --runs-dir {runs_dir}"
        raise InterruptedCommandError(
            f"{interruption}; go on with: sxvae train --resume {interruption.run}{where}"
        ) from None


def _observer(quiet: bool) -> contextlib.AbstractContextManager[Observer]:
    from sxvae.training import Observer
    from sxvae_cli.progress import LiveProgress, PlainProgress

    if quiet:
        return contextlib.nullcontext(Observer())
    return LiveProgress() if remarks.is_terminal else contextlib.nullcontext(PlainProgress())


def _print(run: Run, json: bool, quiet: bool) -> None:
    if run.was_finished:
        say(f"{run.directory.path} is finished after {run.epochs} epochs: nothing to do", quiet)
    elif run.stopped_early:
        say(f"the validation ELBO stopped rising: ended after {run.epochs} epochs", quiet)
    if json:
        print_json(
            {
                "run": str(run.directory.path),
                "epochs": run.epochs,
                "stopped_early": run.stopped_early,
                "evaluation": run.evaluation,
            }
        )
    elif run.evaluation is not None:
        print_figures(run.evaluation)
    else:
        print_line(str(run.directory.path))
