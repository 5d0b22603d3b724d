"""Training: the loop, and the run directory that it keeps."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import sxvae
from sxvae.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sxvae.config import RunSettings, TrainingSettings
from sxvae.data import ImageData, load_data, located
from sxvae.devices import resolve_device, threads_set
from sxvae.errors import CheckpointError, ConfigError, NumericalError, TrainingInterrupted
from sxvae.evaluation import evaluate, fitting
from sxvae.loading import model_of, to_arrays, to_tensors
from sxvae.model import ProductSpaceVAE
from sxvae.plotting import image_grid, save_png
from sxvae.randomness import seeded
from sxvae.runs import RunDirectory, created, find_run, new_run, read_config
from sxvae.schedules import EarlyStopping, kl_weight

_VALIDATION_BATCH = 1_000
_PICTURED = 16


class Observer:
    """Told what happens in training; every method does nothing until a subclass says otherwise."""

    def started(self, run: RunDirectory, settings: RunSettings, done: int, steps: int) -> None:
        """Training starts after `done` epochs; an epoch has `steps` steps."""

    def stepped(self) -> None:
        """A step has ended."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """An epoch has ended and is saved; `metrics` is its line of metrics.jsonl."""

    def evaluated(self, done: int, images: int) -> None:
        """So many of the test images are evaluated."""


@dataclass(frozen=True)
class Run:
    """What training leaves.

    Attributes:
        directory: the run's files.
        epochs: how many are done.
        stopped_early: whether the validation ELBO had stopped improving.
        history: one dictionary an epoch, as in metrics.jsonl.
        evaluation: the test figures of the best model; None if none were asked for.
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
    observer: Observer | None = None,
) -> Run:
    """Train a model and keep the run under `runs_dir`: checkpoints, metrics, test figures.

    PyTorch's global random stream and thread count are afterwards as they were before.

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
        observer: told what happens.

    Raises:
        ConfigError: if a setting can't be.
        DataError: if the images do not fit the model.
        NumericalError: if a figure becomes non-finite; the last good epoch stays saved.
        OutputError: if the name exists, or a file can't be written.
    """
    config = config or TrainingSettings()
    data = fitting(model, data)
    settings = RunSettings(model=model.settings, data=data.settings, training=config)
    run = new_run(Path(runs_dir), name, settings, force)
    if config.sample_every and data.image_shape[0] not in (1, 3):
        raise ConfigError("sample_every: pictures need images of 1 or 3 channels")
    with threads_set(threads) as in_force:
        trainer = _Trainer(model, data, settings, run, resolve_device(device), in_force, observer)
        started = datetime.now(UTC).isoformat()
        given = config.model_dump(exclude_defaults=True) if given is None else given
        with created(run, force):
            run.write_config(settings, given, started)
            with trainer.own_stream():
                trainer.save()
        with trainer.own_stream():
            return trainer.train()


def resume(
    run: str | Path,
    *,
    runs_dir: str | Path = "runs",
    epochs: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    data: ImageData | None = None,
    model: ProductSpaceVAE | None = None,
    observer: Observer | None = None,
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
        model: needed if it was made with your own networks: an instance to take the weights.
        observer: told what happens.

    Raises:
        CheckpointError: if there is no such run, or a file of it is damaged or of another run.
        ConfigError: if `epochs` is less than what was planned.
        DataError: if the data set can't be had.
        NumericalError: if a figure becomes non-finite.
    """
    directory = find_run(run, Path(runs_dir))
    content = read_config(directory.config)
    stored = RunSettings.read(content)
    checkpoint = read_checkpoint(directory.last) if directory.last.is_file() else None
    state = _state(checkpoint)
    if checkpoint is not None and checkpoint.settings.model != stored.model:
        raise CheckpointError(f"{directory.config} describes another model than {directory.last}")
    settings = stored if epochs is None else _with_epochs(stored, epochs)
    if checkpoint is not None and _is_finished(directory, settings, state):
        return _finished(directory, state)
    if data is None:
        data = load_data(located(stored.data))
    if checkpoint is not None:
        modules = {} if model is None else {"encoder": model.encoder, "decoder": model.decoder}
        model = model_of(checkpoint, **modules)
    elif model is None:
        model = initial_model(settings)
    data = fitting(model, data)
    with threads_set(threads or state["threads"]) as in_force:
        trainer = _Trainer(
            model, data, settings, directory, resolve_device(device), in_force, observer
        )
        with trainer.own_stream():
            if checkpoint is not None:
                trainer.restore(checkpoint)
            directory.cut_back(trainer.epoch)
            if settings != stored:
                given = {**content.get("given", {}), "epochs": epochs}
                directory.write_config(settings, given, content["started"])
                directory.evaluation.unlink(missing_ok=True)
            return trainer.train()


def _state(checkpoint: Checkpoint | None) -> dict[str, Any]:
    """The state of training in `last`; that of a beginning if there is none."""
    if checkpoint is None:
        return {"epoch": 0, "stopped_early": False, "threads": None}
    state = checkpoint.metadata.get("state")
    if not isinstance(state, dict):
        raise CheckpointError(f"{checkpoint.path} holds a model, but not the state of its training")
    return state


def _with_epochs(settings: RunSettings, epochs: int) -> RunSettings:
    planned = settings.training.epochs
    if epochs < planned:
        raise ConfigError(f"the run is to have {planned} epochs: --epochs can only extend it")
    training = TrainingSettings.read({**settings.training.model_dump(), "epochs": epochs})
    return settings.model_copy(update={"training": training})


def _is_finished(directory: RunDirectory, settings: RunSettings, state: dict[str, Any]) -> bool:
    trained = state["stopped_early"] or state["epoch"] >= settings.training.epochs
    evaluated = settings.training.eval_samples == 0 or directory.read_evaluation() is not None
    return bool(trained and evaluated and directory.best.is_file())


def _finished(directory: RunDirectory, state: dict[str, Any]) -> Run:
    return Run(
        directory,
        state["epoch"],
        state["stopped_early"],
        directory.read_metrics(),
        directory.read_evaluation(),
        was_finished=True,
    )


class _Trainer:
    """A training in progress: all that changes from step to step."""

    def __init__(
        self,
        model: ProductSpaceVAE,
        data: ImageData,
        settings: RunSettings,
        run: RunDirectory,
        device: torch.device,
        threads: int,
        observer: Observer | None,
    ) -> None:
        self.model = model.to(device)
        self.data = data
        self.settings = settings
        self.config = settings.training
        self.run = run
        self.device = device
        self.threads = threads
        self.observer = observer or Observer()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=self.config.lr)
        self.stopping = EarlyStopping(
            self.config.burn_in, self.config.look_ahead, self.config.min_improvement
        )
        self.epoch = 0
        self.saved = 0
        self.images = data.for_training().to(device)
        self.validation = data.fixed("validation").to(device)

    def own_stream(self) -> contextlib.AbstractContextManager[None]:
        """The random stream of the run's seed."""
        return seeded(self.config.seed, "training", self.device)

    @property
    def stopped_early(self) -> bool:
        """Whether the validation ELBO has stopped improving."""
        return self.stopping.should_stop

    def train(self) -> Run:
        """Train until the last epoch or an early stop, then evaluate the best model."""
        steps = -(-len(self.images) // self.config.batch_size)
        self.observer.started(self.run, self.settings, self.epoch, steps)
        try:
            while self.epoch < self.config.epochs and not self.stopped_early:
                self._run_epoch()
            if self.stopping.best_epoch is None:
                self._save_best(self._last_metrics())
            figures = self._evaluate_best() if self.config.eval_samples else None
        except NumericalError as error:
            raise NumericalError(
                f"after {self.saved} epochs, which are saved in {self.run.last}: {error}; train "
                "again with a lower --lr"
            ) from error
        except KeyboardInterrupt:
            raise TrainingInterrupted(self.run.name, self.saved) from None
        return Run(self.run, self.epoch, self.stopped_early, self.run.read_metrics(), figures)

    def _run_epoch(self) -> None:
        start = time.perf_counter()
        weight = kl_weight(self.epoch, self.config.kl_warmup, self.config.beta)
        metrics = {"epoch": self.epoch + 1, "kl_weight": weight, **self._learn(weight)}
        metrics |= {f"val_{key}": value for key, value in self._validate().items()}
        self._refuse_non_finite(metrics)
        self.epoch += 1
        is_best = self.stopping.update(self.epoch, metrics["val_elbo"])
        # The order matters to a kill between any two: resuming repeats what `last` does not know.
        self.run.append_metrics({**metrics, "seconds": round(time.perf_counter() - start, 3)})
        if self.config.sample_every and self.epoch % self.config.sample_every == 0:
            self._picture()
        if is_best:
            self._save_best(metrics)
        self.save(metrics)
        self.observer.epoch_ended(metrics)

    def _learn(self, weight: float) -> dict[str, Any]:
        """One pass over the training images; the figures are means over them."""
        self.model.train()
        totals = _Totals(self.device)
        order = torch.randperm(len(self.images)).to(self.device)
        for index in order.split(self.config.batch_size):
            x = self.data.training_batch(self.images, index)
            terms = self.model.elbo(x, weight)
            loss = -terms.elbo.mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            totals.add(terms.reconstruction, terms.kl)
            self.observer.stepped()
        figures = totals.means()
        loss_mean = weight * figures["kl"] - figures["reconstruction"]
        return {"loss": loss_mean, **figures}

    @torch.no_grad()
    def _validate(self) -> dict[str, Any]:
        """The validation ELBO with weight 1, at the same posterior noise in every epoch."""
        self.model.eval()
        totals = _Totals(self.device)
        with seeded(self.config.seed, "validation", self.device):
            for start in range(0, len(self.validation), _VALIDATION_BATCH):
                x = self.validation.grey(slice(start, start + _VALIDATION_BATCH))
                terms = self.model.elbo(x)
                totals.add(terms.reconstruction, terms.kl)
        figures = totals.means()
        return {"elbo": figures["reconstruction"] - figures["kl"], **figures}

    def _refuse_non_finite(self, metrics: dict[str, Any]) -> None:
        figures = np.array([*metrics["kl_per_factor"], metrics["loss"], metrics["val_elbo"]])
        weights_finite = all(bool(p.isfinite().all()) for p in self.model.parameters())
        if not (np.isfinite(figures).all() and weights_finite):
            raise NumericalError("the loss or the weights are no longer finite")

    def save(self, metrics: dict[str, Any] | None = None) -> None:
        """Write `last`: everything that going on needs."""
        tensors = {f"model.{k}": v for k, v in to_arrays(self.model.state_dict()).items()}
        tensors |= _optimizer_arrays(self.optimizer)
        tensors["rng.cpu"] = torch.get_rng_state().numpy()
        if self.device.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.device).numpy()
        state = {
            "epoch": self.epoch,
            "stopped_early": self.stopped_early,
            "early_stopping": dataclasses.asdict(self.stopping),
            "threads": self.threads,
        }
        write_checkpoint(
            self.run.last, tensors, {**self._metadata("last", metrics), "state": state}
        )
        self.saved = self.epoch

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the state that `save` wrote; the model has its weights already."""
        state = checkpoint.metadata["state"]
        self.epoch = self.saved = state["epoch"]
        known = {field.name for field in dataclasses.fields(EarlyStopping)}
        counts = {key: value for key, value in state["early_stopping"].items() if key in known}
        self.stopping = EarlyStopping(**counts)
        _restore_optimizer(self.optimizer, checkpoint.part("optimizer"))
        streams = to_tensors(checkpoint.part("rng"))
        torch.set_rng_state(streams["cpu"])
        if self.device.type == "cuda" and "cuda" in streams:
            torch.cuda.set_rng_state(streams["cuda"], self.device)

    def _last_metrics(self) -> dict[str, Any]:
        """The last epoch's metrics as checkpoints have them: without the time, which differs."""
        return {k: v for k, v in self.run.read_metrics()[-1].items() if k != "seconds"}

    def _save_best(self, metrics: dict[str, Any]) -> None:
        tensors = {f"model.{k}": v for k, v in to_arrays(self.model.state_dict()).items()}
        write_checkpoint(self.run.best, tensors, self._metadata("best", metrics))

    def _metadata(self, kind: str, metrics: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "kind": kind,
            "epoch": self.epoch,
            "metrics": metrics,
            "settings": self.settings.model_dump(mode="json"),
            "versions": {
                "sxvae": sxvae.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
        }

    def _evaluate_best(self) -> dict[str, Any]:
        best = copy.deepcopy(self.model)
        best.load_state_dict(to_tensors(read_checkpoint(self.run.best).part("model")))
        figures = evaluate(
            best,
            self.data,
            samples=self.config.eval_samples,
            seed=self.config.seed,
            checkpoint=str(self.run.best),
            on_progress=self.observer.evaluated,
        ).as_dict()
        self.run.write_evaluation(figures)
        return figures

    @torch.no_grad()
    def _picture(self) -> None:
        """Originals, their reconstructions and prior samples, a row each."""
        x = self.validation.grey(slice(0, _PICTURED))
        with seeded(self.config.seed, "pictures", self.device):
            prior = self.model.decode(self.model.prior().sample((len(x),))).mean
        images = torch.cat([x, self.model.decode(self.model.encode(x).mode).mean, prior])
        self.run.samples.mkdir(exist_ok=True)
        picture = image_grid(images.cpu().numpy(), columns=len(x))
        save_png(picture, self.run.samples / f"epoch-{self.epoch:04d}.png")


class _Totals:
    """Sums over images, kept on the device so that no step waits for them."""

    def __init__(self, device: torch.device) -> None:
        self.images = 0
        self.reconstruction = torch.zeros((), dtype=torch.float64, device=device)
        self.kl: Tensor = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, reconstruction: Tensor, kl: Tensor) -> None:
        self.images += len(reconstruction)
        self.reconstruction += reconstruction.detach().sum()
        self.kl = self.kl + kl.detach().sum(dim=0)

    def means(self) -> dict[str, Any]:
        kl = (self.kl / self.images).tolist()
        reconstruction = self.reconstruction.item() / self.images
        return {"reconstruction": reconstruction, "kl": sum(kl), "kl_per_factor": kl}


def _optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": value.detach().cpu().numpy()
        for index, values in state.items()
        for key, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, arrays: dict[str, NDArray[Any]]) -> None:
    content = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in to_tensors(arrays).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**content, "state": state})
