"""The training loop."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

import sxvae
from sxvae.config import RunSettings
from sxvae.data import ImageData
from sxvae.errors import NumericalError, TrainingInterrupted
from sxvae.evaluation.evaluate import evaluate
from sxvae.models.loading import to_tensors
from sxvae.models.vae import ProductSpaceVAE
from sxvae.plotting import image_grid, save_png
from sxvae.randomness import reseed, seeded
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from sxvae.runs.directory import RunDirectory
from sxvae.training.callbacks import Callbacks
from sxvae.training.metrics import MeanMetrics
from sxvae.training.objective import Objective, epoch_kl_weight, objective
from sxvae.training.schedules import EarlyStopping, learning_rate
from sxvae.training.state import (
    Snapshot,
    model_tensors,
    restore_tensors,
    restored_stopping,
    training_tensors,
)
from sxvae.training.tensorboard import metrics_log
from sxvae.training.validation import validate

_PICTURED = 16


class _NonFiniteError(NumericalError):
    """A step or an epoch of which a figure is not finite.

    Attributes:
        numbers: what is known of it.
    """

    def __init__(self, cause: str, numbers: dict[str, Any]) -> None:
        super().__init__(cause)
        self.numbers = numbers


class Trainer:
    """A training in progress: all that changes from step to step."""

    def __init__(
        self,
        model: ProductSpaceVAE,
        data: ImageData,
        settings: RunSettings,
        run: RunDirectory,
        device: torch.device,
        threads: int,
        callbacks: Callbacks | None,
    ) -> None:
        self.model = model.to(device)
        self.data = data
        self.settings = settings
        self.config = settings.training
        self.run = run
        self.device = device
        self.threads = threads
        self.callbacks = callbacks or Callbacks()
        self._parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self._parameters, lr=self.config.lr, fused=True)
        self.stopping = EarlyStopping(
            self.config.burn_in, self.config.look_ahead, self.config.min_improvement
        )
        self.epoch = 0
        self.saved = 0
        self.restarts = 0
        self.metrics: dict[str, Any] | None = None
        self._good: Snapshot | None = None
        self._written: Snapshot | None = None
        self.images = data.for_training().to(device)
        self.validation = data.for_evaluation("validation").to(device)

    def own_stream(self) -> contextlib.AbstractContextManager[None]:
        """The random stream of the run's seed."""
        return seeded(self.config.seed, "training", self.device)

    @property
    def stopped_early(self) -> bool:
        """Whether the validation ELBO has stopped improving."""
        return self.stopping.should_stop

    def train(self) -> dict[str, Any] | None:
        """Train until the last epoch or an early stop, then evaluate the best model.

        Returns:
            The test figures; None if none are asked for.

        Raises:
            NumericalError: if a figure is not finite, and stays so over all restarts.
            TrainingInterrupted: after Ctrl-C; the last complete epoch is saved.
        """
        try:
            if self._good is None:
                self.save()
            with metrics_log(self.run.tensorboard, self.epoch, self.config.tensorboard) as log:
                while self.epoch < self.config.epochs and not self.stopped_early:
                    self._run_epoch_or_restart(log)
            if self.stopping.best_epoch is None:
                self._save_best(self.metrics)
            self._save_good()
            return self._evaluate_best() if self.config.eval_samples else None
        except NumericalError as error:
            self._save_good()
            raise NumericalError(
                f"after {self.saved} epochs, which are saved in {self.run.last}: {error}; train "
                "again with a lower --lr, --max-grad-norm 1 or a longer --kl-warmup"
            ) from error
        except KeyboardInterrupt:
            self._save_good()
            raise TrainingInterrupted(self.run.name, self.saved) from None

    def _run_epoch_or_restart(self, log: Callable[[dict[str, Any]], None]) -> None:
        try:
            metrics = self._run_epoch()
        except NumericalError as error:
            numbers = {"epoch": self.epoch + 1, "cause": str(error)}
            self._restart(numbers | getattr(error, "numbers", {}), error)
        else:
            log(metrics)
            self.callbacks.epoch_ended(metrics)

    def _run_epoch(self) -> dict[str, Any]:
        start = time.perf_counter()
        metrics = {"epoch": self.epoch + 1, **self._learn()}
        validated = self._is_validated(self.epoch + 1)
        if validated:
            figures = validate(self.model, self.validation, self.config)
            metrics |= {f"val_{key}": value for key, value in figures.items()}
        self._refuse_non_finite(metrics)
        self.epoch += 1
        is_best = validated and self.stopping.update(self.epoch, metrics["val_elbo"])
        self.metrics = metrics
        if self.config.sample_every and self.epoch % self.config.sample_every == 0:
            self._picture()
        # From here on the epoch counts. The order matters to a kill between any two: resuming
        # repeats what `last` does not know.
        self.run.append_metrics({**metrics, "seconds": round(time.perf_counter() - start, 3)})
        if is_best:
            self._save_best(metrics)
        self._good = self._snapshot()
        if self.epoch % self.config.save_every == 0:
            self._save_good()
        return metrics

    def _is_validated(self, epoch: int) -> bool:
        return epoch % self.config.val_every == 0 or epoch == self.config.epochs

    def _learn(self) -> dict[str, Any]:
        """One pass over the training images; the figures are means over them."""
        self.model.train()
        config, means = self.config, MeanMetrics()
        rate = learning_rate(self.epoch, config.epochs, config.lr, config.lr_schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        order = torch.randperm(len(self.images)).to(self.device)
        for index in order.split(config.batch_size):
            terms = self._step(index)
            means.add(*terms)
            self.callbacks.stepped()
        return {"kl_weight": epoch_kl_weight(self.epoch, config), "lr": rate, **means.means()}

    def _step(self, index: Tensor) -> Objective:
        """One step on the images at `index`.

        Raises:
            NumericalError: if the loss or the gradient is not finite; the weights are as they were.
        """
        x = self.data.training_batch(self.images, index)
        try:
            terms = objective(self.model, x, self.epoch, self.config)
        except NumericalError as error:
            raise _NonFiniteError(str(error), {"images": index.tolist()}) from error
        for parameter in self._parameters:
            parameter.grad = None
        terms.loss.backward()
        norm = self._limited_gradient_norm()
        if not math.isfinite((terms.loss + norm).item()):
            raise _NonFiniteError(
                "the loss or the gradient is not finite",
                {
                    "loss": terms.loss.item(),
                    "gradient_norm": norm.item(),
                    "reconstruction": terms.reconstruction.mean().item(),
                    "kl_per_factor": terms.kl.mean(dim=0).tolist(),
                    "images": index.tolist(),
                },
            )
        self.optimizer.step()
        return terms

    def _limited_gradient_norm(self) -> Tensor:
        """The gradient's norm, shape (), as it was before it was limited."""
        limit = self.config.max_grad_norm
        norm = get_total_norm([p.grad for p in self._parameters if p.grad is not None])
        if limit is not None:
            clip_grads_with_norm_(self._parameters, limit, norm)
        return norm

    def _restart(self, numbers: dict[str, Any], error: NumericalError) -> None:
        """Go back to the last good epoch, with chance that depends on the number of restarts.

        Raises:
            NumericalError: if there have been too many.
        """
        restarts = self.restarts + 1
        if restarts > self.config.max_restarts:
            times = "1 restart" if self.restarts == 1 else f"{self.restarts} restarts"
            after = f", after {times}" if self.restarts else ""
            raise NumericalError(f"{error}{after}") from error
        assert self._good is not None  # training begins by saving
        self._restore(self._good)
        self.restarts = restarts
        reseed(self.config.seed, f"training, restart {restarts}", self.device)
        self._good = self._snapshot()
        restart = _json_ready({"restart": restarts, "back_to_epoch": self.epoch, **numbers})
        self.run.append_restart(restart)
        self._save_good()
        self.callbacks.restarted(restart)

    def _refuse_non_finite(self, metrics: dict[str, Any]) -> None:
        """Refuse an epoch that left figures or weights that are not finite.

        Raises:
            NumericalError: if it did.
        """
        bad = [name for name, value in metrics.items() if not np.isfinite(value).all()]
        bad += [name for name, p in self.model.named_parameters() if not p.isfinite().all()]
        if bad:
            raise _NonFiniteError(f"no longer finite: {', '.join(bad)}", metrics)

    def save(self) -> None:
        """Write `last` as things stand now."""
        self._good = self._snapshot()
        self._save_good()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the state that `save` wrote."""
        metadata = checkpoint.metadata
        self._good = Snapshot(checkpoint.tensors, metadata["state"], metadata.get("metrics"))
        self._restore(self._good)
        self._written, self.saved = self._good, self.epoch

    def _snapshot(self) -> Snapshot:
        state = {
            "epoch": self.epoch,
            "restarts": self.restarts,
            "stopped_early": self.stopped_early,
            "early_stopping": dataclasses.asdict(self.stopping),
            "threads": self.threads,
        }
        return Snapshot(
            training_tensors(self.model, self.optimizer, self.device), state, self.metrics
        )

    def _restore(self, snapshot: Snapshot) -> None:
        self.epoch = snapshot.state["epoch"]
        self.restarts = snapshot.state.get("restarts", 0)
        stopping = {"validated": self.epoch, **snapshot.state["early_stopping"]}
        self.stopping = restored_stopping(self.stopping, stopping)
        self.metrics = snapshot.metrics
        restore_tensors(snapshot.tensors, self.model, self.optimizer, self.device)

    def _save_good(self) -> None:
        """Write the last good epoch's state to `last`, if it is not there already."""
        good = self._good
        if good is None or good is self._written:
            return
        metadata = self._metadata("last", good.state["epoch"], good.metrics)
        write_checkpoint(self.run.last, good.tensors, {**metadata, "state": good.state})
        self._written, self.saved = good, good.state["epoch"]

    def _save_best(self, metrics: dict[str, Any] | None) -> None:
        metadata = self._metadata("best", self.epoch, metrics)
        write_checkpoint(self.run.best, model_tensors(self.model), metadata)

    def _metadata(self, kind: str, epoch: int, metrics: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "kind": kind,
            "epoch": epoch,
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
            on_progress=self.callbacks.evaluated,
        ).as_dict()
        self.run.write_evaluation(figures)
        return figures

    @torch.no_grad()
    def _picture(self) -> None:
        """Originals, their reconstructions and prior samples, a row each."""
        self.model.eval()
        x = self.validation.images(slice(0, _PICTURED))
        with seeded(self.config.seed, "pictures", self.device):
            prior = self.model.decode(self.model.prior().sample((len(x),))).mean
        images = torch.cat([x, self.model.decode(self.model.encode(x).mode).mean, prior])
        self.run.make_samples()
        picture = image_grid(images.cpu().numpy(), columns=len(x))
        save_png(picture, self.run.samples / f"epoch-{self.epoch:04d}.png")


def _json_ready(value: Any) -> Any:  # noqa: ANN401
    """Numbers that JSON does not know as texts: "nan", "inf"."""
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
