from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

import sxvae
from sxvae import (
    DataSettings,
    ImageData,
    ProductSpace,
    ProductSpaceVAE,
    RunSettings,
    Split,
    TrainingSettings,
    fit,
    resume,
)
from sxvae.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    NumericalError,
    OutputError,
    SxvaeError,
    TrainingInterrupted,
)
from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.directory import RunDirectory
from sxvae.training.fit import Callbacks, initial_model

QUICK = TrainingSettings(
    epochs=6, burn_in=2, kl_warmup=3, eval_samples=5, batch_size=40, look_ahead=3
)


@pytest.fixture(scope="module")
def data(few_digits: ImageData) -> ImageData:
    return few_digits


def _model(data: ImageData, seed: int = 0) -> ProductSpaceVAE:
    model = ProductSpaceVAE(ProductSpace.parse("4,2"), data.image_shape, (16,))
    settings = RunSettings(
        model=model.settings, data=data.settings, training=TrainingSettings(seed=seed)
    )
    return initial_model(settings)


def _tensors(path: Path) -> dict[str, np.ndarray]:
    return read_checkpoint(path).tensors


def _same(first: Path, second: Path) -> bool:
    ours, theirs = _tensors(first), _tensors(second)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(ours[name], theirs[name]) for name in ours
    )


class _InterruptAt(Callbacks):
    """Presses Ctrl-C at a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def stepped(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_the_run_directory(data: ImageData, tmp_path: Path) -> None:
    config = QUICK.model_copy(update={"sample_every": 3})
    run = fit(_model(data), data, config, name="a", runs_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert sorted(path.name for path in run.directory.path.iterdir()) == [
        "best.safetensors",
        "config.json",
        "evaluation.json",
        "last.safetensors",
        "metrics.jsonl",
        "samples",
    ]
    assert sorted(path.name for path in run.directory.samples.iterdir()) == [
        "epoch-0003.png",
        "epoch-0006.png",
    ]
    assert [line["epoch"] for line in run.history] == [1, 2, 3, 4, 5, 6]
    assert [line["kl_weight"] for line in run.history] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    for line in run.history:
        assert line["val_elbo"] == pytest.approx(line["val_reconstruction"] - line["val_kl"])
        assert line["loss"] == pytest.approx(
            line["kl_weight"] * line["kl"] - line["reconstruction"]
        )
    best = read_checkpoint(run.best)
    best_line = max(run.history[2:], key=lambda line: float(line["val_elbo"]))
    assert best.metadata["epoch"] == best_line["epoch"]
    assert best.metadata["kind"] == "best"
    assert all(name.startswith("model.") for name in best.tensors)
    assert run.evaluation is not None
    assert run.evaluation["images"] == 60
    assert not run.was_finished


def test_training_learns(data: ImageData, tmp_path: Path) -> None:
    run = fit(_model(data), data, QUICK.model_copy(update={"lr": 0.01}), runs_dir=tmp_path)
    assert run.history[-1]["val_elbo"] > run.history[0]["val_elbo"] + 2


def test_the_same_seed_gives_the_same_bits(data: ImageData, tmp_path: Path) -> None:
    paths: list[Path] = []
    for name in ("a", "b"):
        torch.manual_seed(len(paths))  # the caller's stream does not matter
        run = fit(_model(data), data, QUICK, name=name, runs_dir=tmp_path)
        paths.append(run.best)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = fit(_model(data, seed=1), data, QUICK.model_copy(update={"seed": 1}), runs_dir=tmp_path)
    assert not _same(paths[0], other.best)


def test_training_leaves_the_callers_stream_and_threads_alone(
    data: ImageData, tmp_path: Path
) -> None:
    model, before, threads = _model(data), torch.get_rng_state(), torch.get_num_threads()
    fit(model, data, QUICK, runs_dir=tmp_path, threads=1)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("step", [1, 2, 4, 9, 16])
def test_interrupted_and_resumed_ends_with_the_same_bits(
    data: ImageData, tmp_path: Path, step: int
) -> None:
    whole = fit(_model(data), data, QUICK, name="whole", runs_dir=tmp_path)
    with pytest.raises(TrainingInterrupted, match=f"{(step - 1) // 3} epochs? (is|are) saved"):
        fit(_model(data), data, QUICK, name="cut", runs_dir=tmp_path, callbacks=_InterruptAt(step))
    with pytest.raises(TrainingInterrupted):
        resume("cut", runs_dir=tmp_path, data=data, callbacks=_InterruptAt(3))
    cut = resume("cut", runs_dir=tmp_path, data=data)
    assert _same(whole.best, cut.best)
    assert _same(whole.directory.last, cut.directory.last)
    without_time = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in run.history]
        for run in (whole, cut)
    ]
    assert without_time[0] == without_time[1]
    metrics = [{**(run.evaluation or {}), "checkpoint": ""} for run in (whole, cut)]
    assert metrics[0] == metrics[1]


def test_a_kill_between_any_two_files_is_repaired(data: ImageData, tmp_path: Path) -> None:
    """The states that a kill can leave: no `last`, a line or a best model that `last` lacks."""
    whole = fit(_model(data), data, QUICK, name="whole", runs_dir=tmp_path)
    with pytest.raises(TrainingInterrupted):
        fit(_model(data), data, QUICK, name="cut", runs_dir=tmp_path, callbacks=_InterruptAt(13))
    cut = RunDirectory(tmp_path / "cut")
    cut.append_metrics({"epoch": 5})
    with cut.metrics.open("a") as file:
        file.write('{"epo')
    cut.best.write_bytes(whole.best.read_bytes())
    run = resume(cut.path, data=data)
    assert [line["epoch"] for line in run.history] == [1, 2, 3, 4, 5, 6]
    assert _same(whole.best, run.best)

    for name in ("last.safetensors", "best.safetensors", "evaluation.json", "metrics.jsonl"):
        (cut.path / name).unlink()
    # Without `last` the run starts again; its model comes from the settings, so use the registry's
    # architecture and the same seed.
    assert _same(whole.best, resume(cut.path, data=data).best)


def test_a_finished_run_says_so_and_is_extended_by_epochs(data: ImageData, tmp_path: Path) -> None:
    long = QUICK.model_copy(update={"look_ahead": 50})
    whole = fit(_model(data), data, long, name="whole", runs_dir=tmp_path)
    short = fit(
        _model(data),
        data,
        long.model_copy(update={"epochs": 4}),
        name="short",
        runs_dir=tmp_path,
    )
    again = resume("short", runs_dir=tmp_path, data=data)
    assert again.was_finished
    assert again.evaluation == short.evaluation
    longer = resume("short", runs_dir=tmp_path, data=data, epochs=6)
    assert not longer.was_finished
    assert _same(whole.best, longer.best)
    assert longer.evaluation is not None
    assert whole.evaluation is not None
    assert longer.evaluation["log_likelihood"] == whole.evaluation["log_likelihood"]
    with pytest.raises(ConfigError, match="6 epochs: --epochs can only extend it"):
        resume("short", runs_dir=tmp_path, data=data, epochs=5)


def test_a_run_killed_before_its_evaluation_is_evaluated(data: ImageData, tmp_path: Path) -> None:
    run = fit(_model(data), data, QUICK, name="a", runs_dir=tmp_path)
    run.directory.evaluation.unlink()
    again = resume("a", runs_dir=tmp_path, data=data)
    assert not again.was_finished
    assert again.evaluation == run.evaluation


def test_burn_in_longer_than_training_makes_the_last_model_the_best(
    data: ImageData, tmp_path: Path
) -> None:
    config = QUICK.model_copy(update={"burn_in": 100, "epochs": 2, "eval_samples": 0})
    run = fit(_model(data), data, config, runs_dir=tmp_path)
    best, last = read_checkpoint(run.best), read_checkpoint(run.directory.last)
    assert best.metadata["epoch"] == 2
    assert best.metadata["metrics"] == last.metadata["metrics"]
    for name, array in best.part("model").items():
        np.testing.assert_array_equal(array, last.part("model")[name])
    assert run.evaluation is None
    assert resume(run.directory.path, data=data).was_finished


def test_early_stopping(data: ImageData, tmp_path: Path) -> None:
    config = QUICK.model_copy(
        update={"burn_in": 0, "look_ahead": 2, "min_improvement": 1e6, "epochs": 50}
    )
    run = fit(_model(data), data, config, name="a", runs_dir=tmp_path)
    assert run.stopped_early
    assert run.epochs == 3
    assert resume("a", runs_dir=tmp_path, data=data, epochs=60).was_finished


class _Exploding(nn.Module):
    """A decoder that turns to NaN in a given call of its training."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 64)
        self.calls = calls

    def forward(self, z: Tensor) -> Tensor:
        self.calls -= self.training and len(z) > 1
        logits: Tensor = self.layer(z).view(-1, 1, 8, 8)
        return logits if self.calls > 0 else logits * torch.nan


def test_a_non_finite_loss_ends_training_with_a_good_last_epoch(
    data: ImageData, tmp_path: Path
) -> None:
    model = ProductSpaceVAE(
        ProductSpace.parse("4,2"),
        data.image_shape,
        encoder=nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU()),
        decoder=_Exploding(8),
    )
    with pytest.raises(NumericalError, match="after 2 epochs, which are saved in") as caught:
        fit(model, data, QUICK, name="a", runs_dir=tmp_path)
    assert "lower --lr" in str(caught.value)
    last = read_checkpoint(tmp_path / "a" / "last.safetensors")
    assert last.metadata["epoch"] == 2
    assert all(np.isfinite(array).all() for array in last.part("model").values())


def test_custom_networks_are_trained_loaded_and_resumed(data: ImageData, tmp_path: Path) -> None:
    def build() -> dict[str, Any]:
        return {
            "encoder": nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh()),
            "decoder": nn.Sequential(nn.Linear(8, 64), nn.Unflatten(1, (1, 8, 8))),
        }

    model = ProductSpaceVAE(ProductSpace.parse("4,2"), data.image_shape, **build())
    run = fit(model, data, QUICK.model_copy(update={"epochs": 2}), name="a", runs_dir=tmp_path)
    with pytest.raises(ConfigError, match="has a custom encoder and decoder"):
        sxvae.load(run.best)
    loaded, _ = sxvae.load(run.best, **build())
    for ours, theirs in zip(loaded.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    again = ProductSpaceVAE(ProductSpace.parse("4,2"), data.image_shape, **build())
    assert resume("a", runs_dir=tmp_path, data=data, model=again, epochs=3).epochs == 3


def test_a_class_of_ones_own_goes_on_as_that_class(data: ImageData, tmp_path: Path) -> None:
    class Flipped(ProductSpaceVAE):
        def decode(self, z: Tensor) -> Distribution:
            return super().decode(z.flip(-1))

    def build(kind: type[ProductSpaceVAE], dims: str = "4,2") -> ProductSpaceVAE:
        torch.manual_seed(1)
        return kind(ProductSpace.parse(dims), data.image_shape, (8,))

    short = QUICK.model_copy(update={"epochs": 2})
    whole = fit(build(Flipped), data, QUICK, name="whole", runs_dir=tmp_path)
    fit(build(Flipped), data, short, name="cut", runs_dir=tmp_path)
    with pytest.raises(ConfigError, match="the model given has other settings"):
        resume("cut", runs_dir=tmp_path, data=data, model=build(Flipped, "4"), epochs=3)
    again, epochs = build(Flipped), QUICK.epochs
    cut = resume("cut", runs_dir=tmp_path, data=data, model=again, epochs=epochs)
    assert [line["loss"] for line in cut.history] == [line["loss"] for line in whole.history]
    assert whole.evaluation is not None
    assert cut.evaluation == whole.evaluation | {"checkpoint": str(cut.best)}


def test_images_of_ones_own(tmp_path: Path) -> None:
    pixels = torch.rand(50, 3, 4, 6)
    data = ImageData(Split(pixels), Split(pixels[:20]), Split(pixels[:10]))
    model = ProductSpaceVAE(ProductSpace.parse("2"), data.image_shape, (8,))
    patient = QUICK.model_copy(update={"look_ahead": 50})
    run = fit(model, data, patient, name="a", runs_dir=tmp_path)
    assert run.evaluation is not None
    assert run.evaluation["dataset"] == "custom"
    with pytest.raises(SxvaeError, match="hand them over there again"):
        resume("a", runs_dir=tmp_path, epochs=9)


def test_refusals_leave_nothing_behind(data: ImageData, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    wrong = ProductSpaceVAE(ProductSpace.parse("2"), (1, 4, 4), (8,))
    with pytest.raises(DataError, match="have the shape"):
        fit(wrong, data, QUICK, runs_dir=runs)
    with pytest.raises(ConfigError, match="is no device"):
        fit(_model(data), data, QUICK, runs_dir=runs, device="tpu")
    with pytest.raises(ConfigError, match="at least one thread"):
        fit(_model(data), data, QUICK, runs_dir=runs, threads=0)
    assert not runs.exists()
    runs.touch()
    with pytest.raises(OutputError, match="can't be written"):
        fit(_model(data), data, QUICK, runs_dir=runs)


def test_callbacks_are_told_everything(data: ImageData, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Recorder(Callbacks):
        def started(self, run: RunDirectory, settings: RunSettings, done: int, steps: int) -> None:
            seen.append(("started", run.name, settings.training.epochs, done, steps))

        def stepped(self) -> None:
            seen.append("step")

        def epoch_ended(self, metrics: dict[str, Any]) -> None:
            seen.append(("epoch", metrics["epoch"]))

        def evaluated(self, done: float, images: int) -> None:
            seen.append(("evaluated", done, images))

    config = QUICK.model_copy(update={"epochs": 1})
    fit(_model(data), data, config, name="a", runs_dir=tmp_path, callbacks=Recorder())
    assert seen == [
        ("started", "a", 1, 0, 3),
        "step",
        "step",
        "step",
        ("epoch", 1),
        ("evaluated", 60, 60),
    ]


def test_data_settings_are_stored(data: ImageData, tmp_path: Path) -> None:
    fixed = dataclasses.replace(data, settings=DataSettings(binarization="fixed"))
    run = fit(_model(fixed), fixed, QUICK, runs_dir=tmp_path)
    _, settings = sxvae.load(run.best)
    assert settings.data.binarization == "fixed"
    assert settings.training == QUICK


def test_a_refused_extension_leaves_the_run_as_it_was(data: ImageData, tmp_path: Path) -> None:
    run = fit(_model(data), data, QUICK, name="a", runs_dir=tmp_path).directory
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    small = Split(torch.zeros(3, 1, 4, 4))
    with pytest.raises(DataError, match="have the shape"):
        resume("a", runs_dir=tmp_path, data=ImageData(small, small, small), epochs=9)
    with pytest.raises(ConfigError, match="is no device"):
        resume("a", runs_dir=tmp_path, data=data, epochs=9, device="tpu")
    with pytest.raises(ConfigError, match="at least one thread"):
        resume("a", runs_dir=tmp_path, data=data, epochs=9, threads=-1)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"log_likelihood": 1}'])
def test_broken_test_metrics_are_computed_again(
    data: ImageData, tmp_path: Path, content: str
) -> None:
    run = fit(_model(data), data, QUICK, name="a", runs_dir=tmp_path)
    run.directory.evaluation.write_text(content)
    assert resume("a", runs_dir=tmp_path, data=data).evaluation == run.evaluation


def test_damaged_run_files_are_named_before_any_work(data: ImageData, tmp_path: Path) -> None:
    run = fit(_model(data), data, QUICK, name="a", runs_dir=tmp_path).directory
    lines = run.metrics.read_text().splitlines()
    for damaged in ([lines[0], "{", *lines[2:]], lines[:2] + lines[3:], lines[:3]):
        run.metrics.write_text("\n".join(damaged) + "\n")
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl"):
            resume("a", runs_dir=tmp_path, data=data, epochs=9)
    config = run.config.read_text()
    run.config.write_text(config.replace('"hidden_dims": [', '"hidden_dims": [8, '))
    with pytest.raises(CheckpointError, match="describes another model"):
        resume("a", runs_dir=tmp_path, data=data)
    run.config.write_text(config)
    run.last.write_bytes(run.best.read_bytes())
    with pytest.raises(CheckpointError, match="not the state of its training"):
        resume("a", runs_dir=tmp_path, data=data)
    run.config.write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: it is not JSON"):
        resume("a", runs_dir=tmp_path, data=data)


def test_pictures_need_channels_that_can_be_shown(tmp_path: Path) -> None:
    pixels = torch.rand(50, 2, 4, 4)
    data = ImageData(Split(pixels), Split(pixels), Split(pixels))
    model = ProductSpaceVAE(ProductSpace.parse("2"), data.image_shape, (8,))
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        fit(model, data, QUICK.model_copy(update={"sample_every": 1}), runs_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
