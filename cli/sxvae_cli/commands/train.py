"""sxvae train."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sxvae.config import RunSettings, TrainingSettings
from sxvae.errors import ConfigError, TrainingInterrupted
from sxvae.runs.config_file import read_config
from sxvae.runs.creating import refuse_name
from sxvae.runs.directory import find_run
from sxvae.settings import RUN
from sxvae_cli import options
from sxvae_cli.console import print_json, print_line, say
from sxvae_cli.metrics_table import print_metrics, say_collapsed
from sxvae_cli.setting_options import flag, with_settings
from sxvae_cli.training_settings import settings_of
from sxvae_runtime.command_line.application import InterruptedCommandError
from sxvae_runtime.command_line.streams import is_live_terminal

if TYPE_CHECKING:
    from sxvae.training.fit import Callbacks, Run


_Config = Annotated[
    Path | None,
    typer.Option(
        help="Take the settings of this config.json; options given beside it replace them.",
        rich_help_panel=RUN,
        callback=options.expanded,
    ),
]
_Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Resume a run, named by its folder or name.",
        rich_help_panel=RUN,
        callback=options.expanded_text,
    ),
]
_Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the run.",
        show_default="<dataset>-<space>-<UTC time>-<code>",
        rich_help_panel=RUN,
    ),
]


@with_settings
def train(
    config: _Config = None,
    resume: _Resume = None,
    name: _Name = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS_DIR,
    force: options.Force = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    debug: options.Debug = False,
    **settings_given: Any,  # noqa: ANN401 (the options of `sxvae.config`'s settings)
) -> None:
    """Train a model; keep it, its checkpoints and its test metrics in a run directory.

    Ctrl-C stops at the last complete epoch; --resume goes on from there.
    """
    everything = {**settings_given, "data_dir": data_dir}
    given = {key: value for key, value in everything.items() if value is not None}
    if resume is not None:
        _refuse_beside_resume({**given, "config": config, "name": name, "force": force or None})
        run = _resume(resume, runs_dir, given.get("epochs"), data_dir, device, threads, quiet)
    else:
        settings = settings_of(given, config)
        if name is not None:
            refuse_name(runs_dir, name, force)
        run = _fit(settings, given, name, runs_dir, force, device, threads, quiet)
    _print(run, json, quiet)


def _refuse_beside_resume(given: dict[str, Any]) -> None:
    others = [key for key, value in given.items() if value is not None]
    others = [key for key in others if key not in ("epochs", "data_dir")]
    if others:
        flags = ", ".join(map(flag, others))
        raise ConfigError(
            f"{flags} can't stand beside --resume: a run goes on with its own settings, and only "
            "--epochs may extend it"
        )


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
    from sxvae.training.fit import fit, initial_model

    resolve_device(device)  # refused before any data are fetched
    data = load_data(settings.data)
    for remark in data.remarks:
        say(remark, quiet)
    shaped = settings.model.model_copy(update={"input_shape": data.image_shape})
    model = initial_model(settings.model_copy(update={"model": shaped}))
    _remark_on_weight(settings.training, quiet)
    with _saying_how_to_resume(runs_dir), _callbacks(quiet) as callbacks:
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
            callbacks=callbacks,
        )


def _remark_on_weight(training: TrainingSettings, quiet: bool) -> None:
    """Say if the KL will not reach its full weight."""
    from sxvae.training.objective import epoch_kl_weight

    last = epoch_kl_weight(training.epochs - 1, training)
    if last < training.beta:
        say(
            f"the KL's weight ends at {last:.2g} of {training.beta:g}: --kl-freeze and --kl-warmup "
            f"take longer than the {training.epochs} epochs",
            quiet,
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
    from sxvae.data import load_again
    from sxvae.training.fit import resume

    data = None
    if data_dir is not None:
        stored = RunSettings.read(read_config(directory.config)).data
        data = load_again(stored, data_dir)
    with _saying_how_to_resume(runs_dir), _callbacks(quiet) as callbacks:
        return resume(
            run,
            runs_dir=runs_dir,
            epochs=epochs,
            device=device,
            threads=threads,
            data=data,
            callbacks=callbacks,
        )


@contextlib.contextmanager
def _saying_how_to_resume(runs_dir: Path) -> Iterator[None]:
    try:
        yield
    except TrainingInterrupted as interruption:
        command = ["sxvae", "train", "--resume", interruption.run]
        if runs_dir != options.DEFAULT_RUNS_DIR:
            command += ["--runs-dir", str(runs_dir)]
        raise InterruptedCommandError(
            f"{interruption}; go on with: {shlex.join(command)}"
        ) from None


def _callbacks(quiet: bool) -> contextlib.AbstractContextManager[Callbacks]:
    from sxvae.training.fit import Callbacks
    from sxvae_cli.progress import LiveProgress, PlainProgress

    if quiet:
        return contextlib.nullcontext(Callbacks())
    return LiveProgress() if is_live_terminal() else contextlib.nullcontext(PlainProgress())


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
        print_metrics(run.evaluation)
    else:
        print_line(str(run.directory.path))
    if run.evaluation is not None:
        settings = RunSettings.read(read_config(run.directory.config))
        say_collapsed(run.evaluation, settings, quiet)
