"""Start a training, or resume one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sxvae.config import RunSettings, TrainingSettings
from sxvae.data import ImageData, load_again
from sxvae.devices import resolve_device, threads_set
from sxvae.errors import CheckpointError, ConfigError
from sxvae.evaluation.evaluate import prepare_data
from sxvae.models.loading import load_weights, model_of
from sxvae.models.vae import ProductSpaceVAE
from sxvae.randomness import seeded
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.runs.config_file import read_config
from sxvae.runs.directory import RunDirectory, created, find_run, new_run
from sxvae.training.callbacks import Callbacks
from sxvae.training.loop import Trainer
from sxvae.training.state import TrainingState
from sxvae.training.tensorboard import require_tensorboard

__all__ = ["Callbacks", "Run", "fit", "initial_model", "resume"]


@dataclass(frozen=True)
class Run:
    """A trained run.

    Attributes:
        directory: the run's files.
        epochs: how many are done.
        stopped_early: whether the validation ELBO had stopped improving.
        history: one dictionary an epoch, as in metrics.jsonl.
        evaluation: the test metrics of the best model; None if none were asked for.
        was_finished: whether there was nothing left to do.
    """

    directory: RunDirectory
    epochs: int
    stopped_early: bool
    history: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    was_finished: bool = False

    @property
    def best(self) -> Path:
        """The best model's checkpoint."""
        return self.directory.best


def initial_model(settings: RunSettings) -> ProductSpaceVAE:
    """The model of a run with the weights that its seed gives."""
    with seeded(settings.training.seed, "weights"):
        return ProductSpaceVAE.from_settings(settings.model)


def fit(
    model: ProductSpaceVAE,
    data: ImageData,
    config: TrainingSettings | None = None,
    *,
    name: str | None = None,
    runs_dir: str | Path = "runs",
    force: bool = False,
    device: str = "auto",
    threads: int | None = None,
    given: dict[str, Any] | None = None,
    callbacks: Callbacks | None = None,
) -> Run:
    """Train a model and keep the run under `runs_dir`: checkpoints, metrics, test metrics.

    PyTorch's global random state and thread count are afterwards as they were before.

    Args:
        model: trained in place; it ends on `device` with the last epoch's weights.
        data: what to train on.
        config: how; the defaults if None.
        name: of the run; `<dataset>-<space>-<UTC time>` if None.
        runs_dir: where runs are kept.
        force: replace an older run of that name.
        device: "auto", "cpu" or "cuda".
        threads: PyTorch's; left as they are if None.
        given: the options that the user gave, noted in config.json; those of `config` that are not
            defaults if None.
        callbacks: told what happens.

    Raises:
        ConfigError: if a setting is invalid.
        DataError: if the images do not fit the model.
        NumericalError: if a number is no longer finite; the last good epoch stays saved.
        OutputError: if the name exists, or a file can't be written.
    """
    config = config or TrainingSettings()
    data = prepare_data(model, data)
    settings = RunSettings(model=model.settings, data=data.settings, training=config)
    run = new_run(Path(runs_dir), name, settings, force)
    if config.tensorboard:
        require_tensorboard()
    if config.sample_every and data.image_shape[0] not in (1, 3):
        raise ConfigError("pictures need images of 1 or 3 channels", setting="sample_every")
    callbacks = callbacks or Callbacks()
    _announce(callbacks, run, settings, 0, data)
    with threads_set(threads) as in_force:
        trainer = Trainer(model, data, settings, run, resolve_device(device), in_force, callbacks)
        started = datetime.now(UTC).isoformat()
        given = config.model_dump(exclude_defaults=True) if given is None else given
        with created(run, force):
            run.write_config(settings, given, started)
            with trainer.seeded_by_run():
                trainer.save()
        with trainer.seeded_by_run():
            return _trained(trainer)


def resume(
    run: str | Path,
    *,
    runs_dir: str | Path = "runs",
    epochs: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: ImageData | None = None,
    model: ProductSpaceVAE | None = None,
    callbacks: Callbacks | None = None,
) -> Run:
    """Go on with a run from its last saved epoch.

    On the same machine with the same number of threads the result has the same bits as that of a
    run that was never disturbed.

    Args:
        run: its folder, or its name under `runs_dir`.
        runs_dir: where runs are kept.
        epochs: the new number of epochs in all, if the run is to go on for longer.
        device: "auto", "cpu" or "cuda"; another one than before works, though not bit for bit.
        threads: PyTorch's; as many as before if None.
        data: needed if the run was made with your own tensors.
        model: takes the weights and is trained in place; needed if the run's model has custom
            networks, or is of a class of your own.
        callbacks: told what happens.

    Raises:
        CheckpointError: if there is no such run, or a file of it is damaged or of another run.
        ConfigError: if `epochs` is less than what was planned, or `model` is another than before.
        DataError: if the data set can't be had, or is another than before.
        NumericalError: if a number is no longer finite.
    """
    directory = find_run(run, Path(runs_dir))
    content = read_config(directory.config)
    stored = RunSettings.read(content)
    checkpoint = read_checkpoint(directory.last) if directory.last.is_file() else None
    state = TrainingState() if checkpoint is None else TrainingState.read(checkpoint)
    if checkpoint is not None and checkpoint.settings.model != stored.model:
        raise CheckpointError(f"{directory.config} describes another model than {directory.last}")
    settings = stored if epochs is None else _with_epochs(stored, epochs)
    if settings.training.tensorboard:
        require_tensorboard()
    if checkpoint is not None and _is_finished(directory, settings, state):
        return _finished(directory, state)
    if data is None:
        data = load_again(stored.data)
    if checkpoint is not None:
        model = _with_weights(model, checkpoint)
    elif model is None:
        model = initial_model(settings)
    data = prepare_data(model, data)
    callbacks = callbacks or Callbacks()
    _announce(callbacks, directory, settings, state.epoch, data)
    with threads_set(threads or state.threads) as in_force:
        trainer = Trainer(
            model, data, settings, directory, resolve_device(device), in_force, callbacks
        )
        with trainer.seeded_by_run():
            if checkpoint is not None:
                trainer.restore(checkpoint)
            directory.cut_back(trainer.epoch, trainer.restarts)
            if settings != stored:
                given = {**content.get("given", {}), "epochs": epochs}
                directory.evaluation.unlink(missing_ok=True)  # of the best of fewer epochs
                directory.write_config(settings, given, str(content.get("started", "")))
            return _trained(trainer)


def _announce(
    callbacks: Callbacks, run: RunDirectory, settings: RunSettings, done: int, data: ImageData
) -> None:
    """Say that training starts; PyTorch then needs seconds to import what an optimiser uses."""
    steps = -(-len(data.train) // settings.training.batch_size)
    callbacks.started(run, settings, done, steps)


def _trained(trainer: Trainer) -> Run:
    metrics = trainer.train()
    run = trainer.run
    return Run(run, trainer.epoch, trainer.stopped_early, run.read_metrics(), metrics)


def _with_weights(model: ProductSpaceVAE | None, checkpoint: Checkpoint) -> ProductSpaceVAE:
    """The model that a checkpoint holds: the one given, if any, so that overrides count."""
    if model is None:
        return model_of(checkpoint)
    if model.settings != checkpoint.settings.model:
        raise ConfigError("the model given has other settings than the run's model")
    load_weights(model, checkpoint)
    return model


def _with_epochs(settings: RunSettings, epochs: int) -> RunSettings:
    planned = settings.training.epochs
    if epochs < planned:
        raise ConfigError(f"the run is to have {planned} epochs: --epochs can only extend it")
    training = TrainingSettings(**{**settings.training.model_dump(), "epochs": epochs})
    return settings.model_copy(update={"training": training})


def _is_finished(directory: RunDirectory, settings: RunSettings, state: TrainingState) -> bool:
    trained = state.stopped_early or state.epoch >= settings.training.epochs
    evaluated = settings.training.eval_samples == 0 or directory.read_evaluation() is not None
    return trained and evaluated and directory.best.is_file()


def _finished(directory: RunDirectory, state: TrainingState) -> Run:
    return Run(
        directory,
        state.epoch,
        state.stopped_early,
        directory.read_metrics(),
        directory.read_evaluation(),
        was_finished=True,
    )
