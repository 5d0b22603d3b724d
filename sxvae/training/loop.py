"""The training loop."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from sxvae.config import RunSettings
from sxvae.data import ImageData
from sxvae.errors import NumericalError, TrainingInterrupted
from sxvae.evaluation.evaluate import evaluate
from sxvae.models.loading import to_tensors
from sxvae.models.vae import ProductSpaceVAE
from sxvae.randomness import reseed, seeded
from sxvae.runs.checkpoint import Checkpoint, read_checkpoint
from sxvae.runs.directory import RunDirectory
from sxvae.training.callbacks import Callbacks
from sxvae.training.checkpoints import CheckpointWriter
from sxvae.training.early_stopping import EarlyStopping
from sxvae.training.metrics import MeanMetrics
from sxvae.training.objective import Objective, epoch_kl_weight, objective
from sxvae.training.pictures import draw_epoch
from sxvae.training.restarts import (
    NonFiniteError,
    refuse_another,
    refuse_non_finite,
    restart_line,
)
from sxvae.training.schedules import learning_rate
from sxvae.training.state import Snapshot, TrainingState, restore_tensors, training_tensors
from sxvae.training.stored_tensors import check_training_tensors
from sxvae.training.tensorboard import metrics_log
from sxvae.training.validation import validate


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
        callbacks: Callbacks,
    ) -> None:
        self.model = model.to(device)
        self.data = data
        self.config = settings.training
        self.run = run
        self.device = device
        self.threads = threads
        self.callbacks = callbacks
        self.checkpoints = CheckpointWriter(run, settings)
        self._parameters = list(model.parameters())
        self.optimizer = torch.optim.Adam(self._parameters, lr=self.config.lr, fused=True)
        self.stopping = EarlyStopping(
            self.config.burn_in, self.config.look_ahead, self.config.min_improvement
        )
        self.epoch = 0
        self.restarts = 0
        self.metrics: dict[str, Any] | None = None
        self._good: Snapshot | None = None  # the last epoch whose numbers were all finite
        self.images = data.for_training().to(device)
        self.validation = data.for_evaluation("validation").to(device)

    def seeded_by_run(self) -> contextlib.AbstractContextManager[None]:
        """In the block random numbers come from the run's seed."""
        return seeded(self.config.seed, "training", self.device)

    @property
    def stopped_early(self) -> bool:
        """Whether the validation ELBO has stopped improving."""
        return self.stopping.should_stop

    def train(self) -> dict[str, Any] | None:
        """Train until the last epoch or an early stop, then evaluate the best model.

        Returns:
            The test metrics; None if none are asked for.

        Raises:
            NumericalError: if a number is not finite, and stays so over all restarts.
            TrainingInterrupted: after Ctrl-C; the last complete epoch is saved.
        """
        try:
            if self._good is None:
                self.save()
            with metrics_log(self.run.tensorboard, self.epoch, self.config.tensorboard) as log:
                while self.epoch < self.config.epochs and not self.stopped_early:
                    self._run_epoch_or_restart(log)
            if self.stopping.best_epoch is None:
                self.checkpoints.write_best(self.model, self.epoch, self.metrics)
            self.checkpoints.write_last(self._good)
            return self._evaluate_best() if self.config.eval_samples else None
        except NumericalError as error:
            self.checkpoints.write_last(self._good)
            raise NumericalError(
                f"after {self.checkpoints.saved_epochs} epochs, which are saved in "
                f"{self.run.last}: {error}; train again with a lower --lr, --max-grad-norm 1 or a "
                "longer --kl-warmup"
            ) from error
        except KeyboardInterrupt:
            self.checkpoints.write_last(self._good)
            raise TrainingInterrupted(self.run.name, self.checkpoints.saved_epochs) from None

    def _run_epoch_or_restart(self, log: Callable[[dict[str, Any]], None]) -> None:
        try:
            metrics = self._run_epoch(log)
        except NumericalError as error:
            self._restart(error)
        else:
            self.callbacks.epoch_ended(metrics)

    def _run_epoch(self, log: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        start = time.perf_counter()
        metrics = {"epoch": self.epoch + 1, **self._learn()}
        validated = self._is_validated(self.epoch + 1)
        if validated:
            found = validate(self.model, self.validation, self.config)
            metrics |= {f"val_{key}": value for key, value in found.items()}
        refuse_non_finite(metrics, self.model)
        self.epoch += 1
        is_best = validated and self.stopping.update(self.epoch, metrics["val_elbo"])
        self.metrics = metrics
        if self.config.sample_every and self.epoch % self.config.sample_every == 0:
            draw_epoch(self.model, self.validation, self.run, self.epoch, self.config.seed)
        # From here on the epoch counts. The order matters to a kill between any two: resuming
        # repeats what `last` does not know.
        self.run.append_metrics({**metrics, "seconds": round(time.perf_counter() - start, 3)})
        log(metrics)
        if is_best:
            self.checkpoints.write_best(self.model, self.epoch, metrics)
        self._good = self._snapshot()
        if self.epoch % self.config.save_every == 0:
            self.checkpoints.write_last(self._good)
        return metrics

    def _is_validated(self, epoch: int) -> bool:
        return epoch % self.config.val_every == 0 or epoch == self.config.epochs

    def _learn(self) -> dict[str, Any]:
        """One pass over the training images; the metrics are means over them."""
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
            raise NonFiniteError(str(error), {"images": index.tolist()}) from error
        for parameter in self._parameters:
            parameter.grad = None
        terms.loss.backward()
        norm = self._limited_gradient_norm()
        if not math.isfinite((terms.loss + norm).item()):
            raise NonFiniteError(
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

    def _restart(self, cause: NumericalError) -> None:
        """Go back to the last good epoch, with random numbers that no earlier attempt had.

        Raises:
            NumericalError: if there have been too many restarts.
        """
        restarts, failed = self.restarts + 1, self.epoch + 1
        refuse_another(self.restarts, self.config.max_restarts, cause)
        assert self._good is not None  # training begins by saving
        self._restore(self._good)
        self.restarts = restarts
        reseed(self.config.seed, f"training, restart {restarts}", self.device)
        self._good = self._snapshot()
        line = restart_line(restarts, self.epoch, failed, cause)
        self.run.append_restart(line)
        self.checkpoints.write_last(self._good)
        self.callbacks.restarted(line)

    def save(self, staged: RunDirectory | None = None) -> None:
        """Write `last` as things stand now, to where a new run takes shape if that is given."""
        self._good = self._snapshot()
        self.checkpoints.write_last(self._good, staged)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from the state that `save` wrote.

        Raises:
            CheckpointError: if it is not the state of such a training.
        """
        self._good = self.checkpoints.written = Snapshot.read(checkpoint)
        check_training_tensors(checkpoint, self.model, self.device)
        self._restore(self._good)

    def _snapshot(self) -> Snapshot:
        state = TrainingState(
            self.epoch,
            self.restarts,
            self.threads,
            dataclasses.replace(self.stopping),
            self.metrics,
        )
        return Snapshot(training_tensors(self.model, self.optimizer, self.device), state)

    def _restore(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        assert state.early_stopping is not None  # or there would be no snapshot
        self.epoch, self.restarts, self.metrics = state.epoch, state.restarts, state.metrics
        self.stopping = dataclasses.replace(state.early_stopping)
        restore_tensors(snapshot.tensors, self.model, self.optimizer, self.device)

    def _evaluate_best(self) -> dict[str, Any]:
        best = copy.deepcopy(self.model)
        best.load_state_dict(to_tensors(read_checkpoint(self.run.best).part("model")))
        metrics = evaluate(
            best,
            self.data,
            samples=self.config.eval_samples,
            seed=self.config.seed,
            checkpoint=str(self.run.best),
            on_progress=self.callbacks.evaluated,
        ).as_dict()
        self.run.write_evaluation(metrics)
        return metrics
