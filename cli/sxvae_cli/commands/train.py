"""sxvae train."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sxvae.config import DataSettings, ModelSettings, RunSettings, Settings, TrainingSettings
from sxvae.errors import ConfigError, TrainingInterrupted
from sxvae.runs import find_run, new_run, read_config
from sxvae.spaces import ProductSpace
from sxvae_cli import options, training_options
from sxvae_cli.console import print_json, print_line, remarks, say
from sxvae_cli.errors import InterruptedCommandError
from sxvae_cli.figures import print_figures
from sxvae_cli.training_options import as_text

if TYPE_CHECKING:
    from sxvae.training import Observer, Run

_MODEL = ModelSettings(input_shape=(1, 1, 1))  # the shape comes from the data


def train(
    z_dims: training_options.ZDims = None,
    distribution: training_options.Distribution = None,
    covariance: training_options.Covariance = None,
    learn_radius: training_options.LearnRadius = None,
    h_dims: training_options.HDims = None,
    encoder: training_options.Encoder = None,
    decoder: training_options.Decoder = None,
    likelihood: training_options.Likelihood = None,
    gaussian_scale: training_options.GaussianScale = None,
    dataset: training_options.Dataset = None,
    channels_last: training_options.ChannelsLast = None,
    image_size: training_options.ImageSize = None,
    split_seed: training_options.SplitSeed = None,
    binarization: training_options.Binarization = None,
    beta: training_options.Beta = None,
    kl_warmup: training_options.KlWarmup = None,
    kl_freeze: training_options.KlFreeze = None,
    kl_target: training_options.KlTarget = None,
    train_samples: training_options.TrainSamples = None,
    epochs: training_options.Epochs = None,
    lr: training_options.Lr = None,
    lr_schedule: training_options.LrSchedule = None,
    max_grad_norm: training_options.MaxGradNorm = None,
    batch_size: training_options.BatchSize = None,
    seed: training_options.Seed = None,
    max_restarts: training_options.MaxRestarts = None,
    val_every: training_options.ValEvery = None,
    val_log_likelihood: training_options.ValLogLikelihood = None,
    burn_in: training_options.BurnIn = None,
    look_ahead: training_options.LookAhead = None,
    min_improvement: training_options.MinImprovement = None,
    save_every: training_options.SaveEvery = None,
    eval_samples: training_options.EvalSamples = None,
    sample_every: training_options.SampleEvery = None,
    tensorboard: training_options.Tensorboard = None,
    config: training_options.Config = None,
    resume: training_options.Resume = None,
    name: training_options.Name = None,
    data_dir: options.DataDir = None,
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
        "covariance": covariance,
        "learn_radius": learn_radius,
        "hidden_dims": h_dims,
        "encoder": encoder,
        "decoder": decoder,
        "likelihood": likelihood,
        "gaussian_scale": gaussian_scale,
        "dataset": dataset,
        "channels_last": channels_last,
        "image_size": image_size,
        "split_seed": split_seed,
        "data_dir": data_dir,
        "binarization": binarization,
        "epochs": epochs,
        "lr": lr,
        "lr_schedule": lr_schedule,
        "max_grad_norm": max_grad_norm,
        "batch_size": batch_size,
        "seed": seed,
        "kl_warmup": kl_warmup,
        "kl_freeze": kl_freeze,
        "kl_target": kl_target,
        "beta": beta,
        "train_samples": train_samples,
        "val_every": val_every,
        "val_log_likelihood": val_log_likelihood,
        "look_ahead": look_ahead,
        "burn_in": burn_in,
        "min_improvement": min_improvement,
        "save_every": save_every,
        "max_restarts": max_restarts,
        "eval_samples": eval_samples,
        "sample_every": sample_every,
        "tensorboard": tensorboard,
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
    if "dataset" in values:  # what another one needed does not come along
        for key in sections["data"].keys() - {"dataset", "binarization"}:
            del sections["data"][key]
    if "z_dims" in values or "distribution" in values:
        space = _space(values.get("z_dims"), values.get("distribution"), sections["model"])
        values |= {"z_dims": space.dims, "distribution": space.families}
    if "hidden_dims" in values:
        values["hidden_dims"] = _widths(values["hidden_dims"])
    if "gaussian_scale" in values:
        values["gaussian_scale"] = _scale(values["gaussian_scale"])
    if "image_size" in values:
        values["image_size"] = _size(values["image_size"])
    if "data_dir" in values:
        values["data_dir"] = str(Path(values["data_dir"]).absolute())
    kinds: dict[str, type[Settings]] = {
        "model": ModelSettings,
        "data": DataSettings,
        "training": TrainingSettings,
    }
    if values.get("likelihood") == "bernoulli" and "binarization" not in values:
        sections["data"].pop("binarization", None)  # "none" is what another likelihood had
    for section, kind in kinds.items():
        sections[section] |= {k: v for k, v in values.items() if k in kind.model_fields}
    sections["model"].setdefault("input_shape", (1, 1, 1))  # the data decide it
    if sections["model"].get("likelihood", "bernoulli") != "bernoulli":
        if values.get("binarization", "none") != "none":
            raise ConfigError("--binarization: only a Bernoulli likelihood has images binarised")
        sections["data"]["binarization"] = "none"
    model = sections["model"]
    if "hidden_dims" in values and {model.get("encoder"), model.get("decoder")} == {"cnn"}:
        raise ConfigError("--h-dims: convolutional networks have widths of their own")
    return RunSettings.read({name: kind.read(sections[name]) for name, kind in kinds.items()})


def _space(z_dims: str | None, distribution: str | None, stored: dict[str, Any]) -> ProductSpace:
    """The space that the two options say; what one leaves out comes from what is stored."""
    dims = z_dims if z_dims is not None else as_text(stored.get("z_dims", _MODEL.z_dims))
    try:
        families = ProductSpace.parse(dims).families
    except ConfigError as error:
        raise ConfigError(f"--z-dims: {error}") from None
    kept = tuple(dict.fromkeys(stored.get("distribution", families[:1])))
    if len(kept) > 1:  # each sphere has its own: they fit the stored dimensions only
        kept = tuple(stored["distribution"])
    try:
        return ProductSpace.parse(dims, distribution or as_text(kept))
    except ConfigError as error:
        raise ConfigError(f"--distribution: {error}") from None


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]+", part) and int(part) > 0 for part in parts):
        raise ConfigError(f"--h-dims: {text!r} is not a list of widths such as 256,128")
    return tuple(int(part) for part in parts)


def _scale(text: str) -> float | str:
    if text == "learned":
        return text
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--gaussian-scale: {text!r} is neither a number nor learned") from None


def _size(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 2 or not all(re.fullmatch(r"[0-9]+", p) and int(p) > 0 for p in parts):
        raise ConfigError(f"--image-size: {text!r} is not a size such as 28 or 28,32 (H,W)")
    return tuple(int(part) for part in (parts * 2)[:2])


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
    from sxvae.data import load_again
    from sxvae.training import resume

    data = None
    if data_dir is not None:
        stored = RunSettings.read(read_config(directory.config)).data
        data = load_again(stored, data_dir)
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
