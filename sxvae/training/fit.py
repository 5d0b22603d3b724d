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
from sxvae.runs.creating import new_run
from sxvae.runs.directory import RunDirectory, find_run
from sxvae.runs.lock import locked
from sxvae.training.callbacks import Callbacks
from sxvae.training.loop import Trainer
from sxvae.training.state import TrainingState
from sxvae.training.tensorboard import require_tensorboard
from sxvae.user_paths import user_path
from sxvae_runtime.files.staging import clear_leftovers

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
        name: of the run; `<dataset>-<space>-<UTC time>-<code>` if None, which no other run has.
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
        OutputError: if the name exists, its run is being written by another process, a file can't
            be written, or the run is moved or deleted while it trains.
    """
    config = config or TrainingSettings()
    data = prepare_data(model, data)
    settings = RunSettings(model=model.settings, data=data.settings, training=config)
    if config.tensorboard:
        require_tensorboard()
    if config.sample_every and data.image_shape[0] not in (1, 3):
        raise ConfigError("pictures need images of 1 or 3 channels", setting="sample_every")
    callbacks = callbacks or Callbacks()
    given = config.model_dump(exclude_defaults=True) if given is None else given
    with (
        new_run(user_path(runs_dir), name, settings, force) as new,
        threads_set(threads) as in_force,
    ):
        run = new.directory
        _announce(callbacks, run, settings, 0, data)
        trainer = Trainer(model, data, settings, run, resolve_device(device), in_force, callbacks)
        new.staged.write_config(settings, given, datetime.now(UTC).isoformat())
        with trainer.seeded_by_run():
            trainer.save(new.staged)
        new.put_in_place()
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
        OutputError: if another process writes the run, a file can't be written, or the run is moved
            or deleted while it trains.
    """
    directory = find_run(user_path(run), user_path(runs_dir))
    for folder in (directory.path.parent, directory.path):
        clear_leftovers(folder)
    found = _Found.read(directory, epochs)
    if found.settings.training.tensorboard:
        require_tensorboard()
    if found.is_finished:
        return found.finished()
    with locked(directory.path) as lock:
        # Another process may have written until a moment ago.
        found = _Found.read(RunDirectory(directory.path, lock), epochs)
        if found.is_finished:
            return found.finished()
        return _resumed(found, epochs, device, threads, data, model, callbacks or Callbacks())


@dataclass(frozen=True)
class _Found:
    """A run to resume, as its files tell of it.

    Attributes:
        directory: the files.
        content: of config.json.
        stored: the settings in it.
        settings: those to go on with.
        checkpoint: `last`; None if training had not begun.
        state: the state of training in it.
    """

    directory: RunDirectory
    content: dict[str, Any]
    stored: RunSettings
    settings: RunSettings
    checkpoint: Checkpoint | None
    state: TrainingState

    @classmethod
    def read(cls, directory: RunDirectory, epochs: int | None) -> _Found:
        content = read_config(directory.config)
        stored = RunSettings.read(content)
        checkpoint = read_checkpoint(directory.last) if directory.last.is_file() else None
        state = TrainingState() if checkpoint is None else TrainingState.read(checkpoint)
        if checkpoint is not None and checkpoint.settings.model != stored.model:
            raise CheckpointError(
                f"{directory.config} describes another model than {directory.last}"
            )
        settings = stored if epochs is None else _with_epochs(stored, epochs)
        return cls(directory, content, stored, settings, checkpoint, state)

    @property
    def is_finished(self) -> bool:
        training = self.settings.training
        trained = self.state.stopped_early or self.state.epoch >= training.epochs
        evaluated = training.eval_samples == 0 or self.directory.read_evaluation() is not None
        has_best = self.directory.best.is_file()
        return self.checkpoint is not None and trained and evaluated and has_best

    def finished(self) -> Run:
        history = self.directory.read_metrics()
        evaluation = self.directory.read_evaluation()
        state = self.state
        return Run(
            self.directory, state.epoch, state.stopped_early, history, evaluation, was_finished=True
        )


def _resumed(
    found: _Found,
    epochs: int | None,
    device: str,
    threads: int | None,
    data: ImageData | None,
    model: ProductSpaceVAE | None,
    callbacks: Callbacks,
) -> Run:
    """Go on with a run whose lock is held."""
    directory, settings = found.directory, found.settings
    if data is None:
        data = load_again(found.stored.data)
    if found.checkpoint is not None:
        model = _with_weights(model, found.checkpoint)
    elif model is None:
        model = initial_model(settings)
    data = prepare_data(model, data)
    _announce(callbacks, directory, settings, found.state.epoch, data)
    with threads_set(threads or found.state.threads) as in_force:
        trainer = Trainer(
            model, data, settings, directory, resolve_device(device), in_force, callbacks
        )
        with trainer.seeded_by_run():
            if found.checkpoint is not None:
                trainer.restore(found.checkpoint)
            directory.cut_back(trainer.epoch, trainer.restarts)
            if settings != found.stored:
                given = {**found.content.get("given", {}), "epochs": epochs}
                directory.remove_evaluation()  # of the best of fewer epochs
                directory.write_config(settings, given, str(found.content.get("started", "")))
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
