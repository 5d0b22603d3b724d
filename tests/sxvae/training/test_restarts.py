"""Training that is disturbed: faults are injected by hooks on the model, never by product code."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sxvae import ImageData, ProductSpaceVAE, TrainingSettings, fit, resume
from sxvae.errors import NumericalError, TrainingInterrupted
from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.directory import RunDirectory
from sxvae.training.callbacks import Callbacks

Untrained = Callable[..., ProductSpaceVAE]

STEPS = 3  # in an epoch of `few_digits`
CONFIG = TrainingSettings(
    epochs=6, burn_in=1, kl_warmup=2, eval_samples=5, batch_size=40, look_ahead=50
)


class _Calls:
    """Counts the training calls of a module; in some of them its output becomes NaN."""

    def __init__(self, module: nn.Module, faulty: Callable[[int], bool]) -> None:
        self.count = 0
        self.faulty = faulty
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not module.training:
            return output
        self.count += 1
        return output * torch.nan if self.faulty(self.count) else output


class _StopAfter(Callbacks):
    def __init__(self, steps: int) -> None:
        self.left = steps

    def stepped(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def _restarts(run: RunDirectory) -> list[dict[str, Any]]:
    if not run.restarts.exists():
        return []
    return [json.loads(line) for line in run.restarts.read_text().splitlines()]


def _weights(path: Path) -> dict[str, np.ndarray]:
    return read_checkpoint(path).part("model")


def _same(first: Path, second: Path) -> bool:
    ours, theirs = _weights(first), _weights(second)
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("seed", range(3))
def test_a_fault_at_a_random_step_is_survived(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path, seed: int
) -> None:
    step = random.Random(seed).randint(1, CONFIG.epochs * STEPS)
    model = untrained()
    _Calls(model.decoder, lambda count: count == step)
    told: list[dict[str, Any]] = []

    class Listener(Callbacks):
        def restarted(self, restart: dict[str, Any]) -> None:
            told.append(restart)

    run = fit(model, few_digits, CONFIG, name="a", runs_dir=tmp_path, callbacks=Listener())
    assert run.epochs == CONFIG.epochs
    assert [line["epoch"] for line in run.history] == [1, 2, 3, 4, 5, 6]
    assert run.evaluation is not None
    (restart,) = _restarts(run.directory)
    assert told == [restart]
    assert restart["restart"] == 1
    assert restart["back_to_epoch"] == (step - 1) // STEPS
    assert restart["epoch"] == restart["back_to_epoch"] + 1
    assert restart["loss"] == "nan"
    assert restart["reconstruction"] == "nan"
    assert all(isinstance(value, float) for value in restart["kl_per_factor"])
    assert len(restart["images"]) == 40
    last = read_checkpoint(run.directory.last)
    assert last.metadata["state"]["restarts"] == 1
    assert last.settings.training.lr == CONFIG.lr  # nothing is lowered silently


def test_a_fault_of_one_random_seed_does_not_come_back(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    """A batch that fails each time it is seen: only a new random seed leads past it."""
    seen: list[Tensor] = []
    model = untrained()

    def remember_or_fail(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not module.training:
            return output
        seen.append(inputs[0].clone())
        is_bad = len(seen) > 7 and torch.equal(inputs[0], seen[7])
        return output * torch.nan if is_bad else output

    model.encoder.register_forward_hook(remember_or_fail)
    run = fit(model, few_digits, CONFIG, name="a", runs_dir=tmp_path)
    (restart,) = _restarts(run.directory)
    assert restart["back_to_epoch"] == 2
    assert "concentrations" in restart["cause"]  # the sampler refused them before there was a loss
    epochs = len(seen[6:8]), len(seen[8:])
    assert epochs == (2, 4 * STEPS)
    assert not torch.equal(seen[6], seen[8])  # the third epoch's first batch is another one now


def test_a_gradient_that_is_not_finite_is_a_fault_too(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    calls = 0

    def overflow(gradient: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return gradient * torch.inf if calls == 5 else gradient

    model = untrained()
    model.head.linear.weight.register_hook(overflow)
    run = fit(model, few_digits, CONFIG, name="a", runs_dir=tmp_path)
    (restart,) = _restarts(run.directory)
    assert restart["gradient_norm"] in ("inf", "nan")
    assert isinstance(restart["loss"], float)
    assert all(np.isfinite(array).all() for array in _weights(run.directory.last).values())


@pytest.mark.parametrize("restarts", [0, 2])
def test_a_fault_that_stays_ends_training_with_a_good_last_checkpoint(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path, restarts: int
) -> None:
    model = untrained()
    _Calls(model.decoder, lambda count: count > 8)
    config = CONFIG.model_copy(update={"max_restarts": restarts, "save_every": 3})
    with pytest.raises(NumericalError, match="after 2 epochs, which are saved in") as caught:
        fit(model, few_digits, config, name="a", runs_dir=tmp_path)
    assert ("after 2 restarts" in str(caught.value)) == (restarts == 2)
    assert "train again with a lower --lr" in str(caught.value)
    run = RunDirectory(tmp_path / "a")
    assert len(_restarts(run)) == restarts
    last = read_checkpoint(run.last)
    assert last.metadata["epoch"] == 2
    assert all(np.isfinite(array).all() for array in last.tensors.values())
    assert resume("a", runs_dir=tmp_path, data=few_digits, epochs=8).epochs == 8


def test_a_picture_that_is_not_finite_is_a_fault_of_its_epoch(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    pictured = 0

    def spoil_the_first(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        nonlocal pictured
        if module.training or len(output) != 16:  # the pictures' own number of images
            return output
        pictured += 1
        return output * torch.nan if pictured == 1 else output

    model = untrained()
    model.decoder.register_forward_hook(spoil_the_first)
    config = CONFIG.model_copy(update={"sample_every": 3})
    run = fit(model, few_digits, config, name="a", runs_dir=tmp_path)
    (restart,) = _restarts(run.directory)
    assert restart["back_to_epoch"] == 2
    assert [line["epoch"] for line in run.history] == [1, 2, 3, 4, 5, 6]
    assert len(list(run.directory.samples.iterdir())) == 2


def test_a_restarted_run_is_resumed_bit_for_bit(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    def faulty() -> ProductSpaceVAE:
        model = untrained()
        _Calls(model.decoder, lambda count: count == 5)
        return model

    whole = fit(faulty(), few_digits, CONFIG, name="whole", runs_dir=tmp_path)
    with pytest.raises(TrainingInterrupted):  # in the epoch that began anew
        fit(faulty(), few_digits, CONFIG, name="cut", runs_dir=tmp_path, callbacks=_StopAfter(6))
    cut = resume("cut", runs_dir=tmp_path, data=few_digits)
    assert _same(whole.directory.last, cut.directory.last)
    assert _restarts(whole.directory) == _restarts(cut.directory)


def test_rare_saves_lose_nothing(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    """Ctrl-C writes what is not written yet; a kill goes back to the last write."""
    whole = fit(untrained(), few_digits, CONFIG, name="whole", runs_dir=tmp_path)
    rare = CONFIG.model_copy(update={"save_every": 4})
    with pytest.raises(TrainingInterrupted, match="3 epochs are saved"):
        fit(untrained(), few_digits, rare, name="a", runs_dir=tmp_path, callbacks=_StopAfter(10))
    assert _same(
        whole.directory.last, resume("a", runs_dir=tmp_path, data=few_digits).directory.last
    )

    class _Killed(_StopAfter):
        def stepped(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise SystemExit

    with pytest.raises(SystemExit):
        fit(untrained(), few_digits, rare, name="b", runs_dir=tmp_path, callbacks=_Killed(10))
    killed = RunDirectory(tmp_path / "b")
    assert read_checkpoint(killed.last).metadata["epoch"] == 0
    assert len(killed.read_metrics()) == 3
    assert _same(
        whole.directory.last, resume("b", runs_dir=tmp_path, data=few_digits).directory.last
    )


def test_rare_validations(few_digits: ImageData, untrained: Untrained, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"val_every": 4, "val_log_likelihood": 20})
    run = fit(untrained(), few_digits, config, name="a", runs_dir=tmp_path)
    validated = [line["epoch"] for line in run.history if "val_elbo" in line]
    assert validated == [4, 6]
    for line in run.history[3::2]:
        if "val_elbo" in line:
            assert line["val_log_likelihood"] > line["val_elbo"]
    assert read_checkpoint(run.best).metadata["epoch"] in validated
    often = fit(untrained(), few_digits, CONFIG, name="b", runs_dir=tmp_path)
    assert _same(run.directory.last, often.directory.last)


def test_gradients_are_limited_and_the_rate_falls(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    norms: list[float] = []

    class Steps(Callbacks):
        def stepped(self) -> None:
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norms.append(torch.nn.utils.get_total_norm(gradients).item())

    model = untrained()
    config = CONFIG.model_copy(update={"max_grad_norm": 0.5, "lr_schedule": "cosine"})
    run = fit(model, few_digits, config, name="a", runs_dir=tmp_path, callbacks=Steps())
    assert norms == pytest.approx([0.5] * len(norms), rel=1e-4)
    rates = [line["lr"] for line in run.history]
    assert rates[0] == CONFIG.lr
    assert rates[3] == pytest.approx(CONFIG.lr / 2)
    assert rates == sorted(rates, reverse=True)


def test_tensorboard_has_the_metrics_once(
    few_digits: ImageData, untrained: Untrained, tmp_path: Path
) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = CONFIG.model_copy(update={"tensorboard": True})
    with pytest.raises(TrainingInterrupted):
        fit(untrained(), few_digits, config, name="a", runs_dir=tmp_path, callbacks=_StopAfter(8))
    run = resume("a", runs_dir=tmp_path, data=few_digits)
    events = accumulators.EventAccumulator(str(run.directory.tensorboard)).Reload()
    for tag, key in (("val_elbo", "val_elbo"), ("loss", "loss"), ("lr", "lr")):
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        expected = [(line["epoch"], pytest.approx(line[key], rel=1e-6)) for line in run.history]
        assert found == expected
    first = [event.value for event in events.Scalars("kl_per_factor/1")]
    assert first == pytest.approx([line["kl_per_factor"][1] for line in run.history], rel=1e-6)
