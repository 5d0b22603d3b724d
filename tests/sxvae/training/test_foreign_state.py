"""Checkpoints with a right checksum that no training of ours wrote: refused in one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, TrainingSettings, fit
from sxvae.errors import CheckpointError, ConfigError
from sxvae.models.loading import model_of
from sxvae.runs.checkpoint import _digest, read_checkpoint
from sxvae.training.state import TrainingState
from sxvae.training.stored_tensors import check_training_tensors

Arrays = dict[str, NDArray[Any]]
Stored = tuple[Arrays, dict[str, Any]]

FIXTURES = Path(__file__).parents[1] / "fixtures"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stored(few_digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The tensors and metadata of a training's `last`."""
    config = TrainingSettings(epochs=2, batch_size=120, burn_in=0, eval_samples=0)
    model = ProductSpaceVAE(ProductSpace.parse("2,1"), few_digits.image_shape, (4,))
    run = fit(model, few_digits, config, name="a", runs_dir=tmp_path_factory.mktemp("foreign"))
    checkpoint = read_checkpoint(run.directory.last)
    return checkpoint.tensors, checkpoint.metadata


@pytest.fixture(scope="module")
def of_format_1() -> Stored:
    return _content(FIXTURES / "run_v1" / "last.safetensors")


def _content(path: Path) -> Stored:
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["sxvae"])


def _write(path: Path, tensors: Arrays, metadata: dict[str, Any]) -> Path:
    """With the checksum that belongs to the content."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content = {**metadata, "sha256": _digest(arrays, metadata)}
    path.write_bytes(save(arrays, metadata={"sxvae": json.dumps(content)}))
    return path


def _resume_from(path: Path) -> None:
    """All that resuming reads of a checkpoint."""
    checkpoint = read_checkpoint(path)
    TrainingState.read(checkpoint)
    check_training_tensors(checkpoint, model_of(checkpoint), CPU)


def test_what_a_training_wrote_is_taken(
    stored: Stored, of_format_1: Stored, tmp_path: Path
) -> None:
    """Otherwise the tests below could not fail."""
    for content in (stored, of_format_1):
        _resume_from(_write(tmp_path / "x.safetensors", *content))


def _without(start: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {k: v for k, v in arrays.items() if not k.startswith(start)}


def _changed(name: str, change: Callable[[NDArray[Any]], Any]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: np.asarray(change(arrays[name]))}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_without("optimizer."), "optimizer.0.exp_avg is missing"),
        (_without("optimizer.1.step"), "optimizer.1.step is missing"),
        (_changed("optimizer.0.exp_avg", lambda a: a[:1]), "optimizer.0.exp_avg has the shape"),
        (_changed("optimizer.0.exp_avg", lambda a: a.astype("int32")), "has the type int32"),
        (_changed("optimizer.0.exp_avg_sq", lambda a: -a - 1), "exp_avg_sq is negative"),
        (_changed("optimizer.0.exp_avg_sq", lambda a: a * np.nan), "exp_avg_sq is not finite"),
        (_changed("optimizer.2.step", lambda a: [a, a]), "optimizer.2.step has the shape (2,)"),
        (
            lambda a: {**a, "optimizer.0.momentum": a["optimizer.0.exp_avg"]},
            "optimizer.0.momentum belongs to no parameter",
        ),
        (lambda a: {**a, "optimizer.99.step": np.ones(())}, "optimizer.99.step belongs to no"),
        (_without("rng."), "rng.cpu is missing"),
        (_changed("rng.cpu", lambda a: a[:-1]), "rng.cpu is uint8 of the shape (5055,)"),
        (_changed("rng.cpu", lambda a: a.astype("int64")), "rng.cpu is int64 of the shape"),
        (_changed("rng.cpu", lambda a: a * 0 + 255), "rng.cpu is no state of a random number"),
        (
            _changed("model.head.linear.bias", lambda a: a * np.nan),
            "model.head.linear.bias has values that are not finite",
        ),
        (
            _changed("model.head.linear.bias", lambda a: a.astype("uint8")),
            "model.head.linear.bias has the type uint8",
        ),
        (_changed("model.head.linear.bias", lambda a: a[:-1]), "its settings describe"),
        (_without("model.head.linear.bias"), "its settings describe"),
    ],
)
def test_tensors_of_no_training_are_refused(
    stored: Stored, tmp_path: Path, change: Callable[[Arrays], Arrays], sentence: str
) -> None:
    tensors, metadata = stored
    path = _write(tmp_path / "x.safetensors", change(tensors), metadata)
    with pytest.raises(CheckpointError) as caught:
        _resume_from(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_tensors_that_a_newer_version_adds_are_left_alone(stored: Stored, tmp_path: Path) -> None:
    tensors, metadata = stored
    _resume_from(_write(tmp_path / "x.safetensors", {**tensors, "new": np.zeros(3)}, metadata))


def test_a_model_larger_than_the_file_is_refused_before_it_is_made(
    stored: Stored, tmp_path: Path
) -> None:
    tensors, metadata = copy.deepcopy(stored)
    for widths, sentence in (
        ([10**9], "hidden_dims: must be at most 134,217,728, not 1000000000"),
        ([10**30], "hidden_dims: must be at most 134,217,728, not 1000000000000"),
        ([10**8], "the model would have"),
        ([10**6], "its settings describe 142,000,071 parameters, and it holds"),
    ):
        metadata["settings"]["model"]["hidden_dims"] = widths
        with pytest.raises(CheckpointError) as caught:
            _resume_from(_write(tmp_path / "x.safetensors", tensors, metadata))
        assert sentence in str(caught.value)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of parsed JSON is."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, inner in entries:
            found += (
                _paths(inner, (*path, key)) if isinstance(inner, dict | list) else [(*path, key)]
            )
    return found


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from((2**31, 2**63, 10**9, 10**30, -(10**30)))
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(("vmf", "normal", "cnn", "mlp", "full", "learned", "categorical", "\x1b[2J"))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_any_metadata_are_taken_or_refused_in_a_sentence(
    stored: Stored, of_format_1: Stored, tmp_path: Path, data: st.DataObject
) -> None:
    tensors, metadata = copy.deepcopy(data.draw(st.sampled_from((stored, of_format_1))))
    for _ in range(data.draw(st.integers(1, 2))):
        *outer, last = data.draw(st.sampled_from(_paths(metadata)))
        inner = metadata
        for key in outer:
            inner = inner[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            del inner[last]
        else:
            inner[last] = data.draw(VALUES)
    _is_taken_or_refused(tensors, metadata, tmp_path)


@settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_any_tensors_are_taken_or_refused_in_a_sentence(
    stored: Stored, of_format_1: Stored, tmp_path: Path, data: st.DataObject
) -> None:
    tensors, metadata = data.draw(st.sampled_from((stored, of_format_1)))
    tensors = dict(tensors)
    name = data.draw(st.sampled_from(sorted(tensors)))
    array = tensors.pop(name)
    change = data.draw(st.sampled_from(("drop", "rename", "shape", "type", "values")))
    if change == "rename":
        other = st.sampled_from(sorted(tensors)) | st.text(max_size=8).map("optimizer.{}".format)
        tensors[data.draw(other | st.text(max_size=8))] = array
    elif change == "shape":
        shape = data.draw(st.lists(st.integers(0, 5), max_size=3))
        tensors[name] = np.zeros(shape, array.dtype)
    elif change == "type":
        kinds = ("float16", "float64", "int64", "uint8", "bool", "complex64")
        tensors[name] = array.astype(data.draw(st.sampled_from(kinds)))
    elif change == "values":
        value = data.draw(st.sampled_from((0, 1, -1, np.nan, np.inf, 1e38)))
        with np.errstate(invalid="ignore"):
            tensors[name] = np.full_like(array, np.float64(value).astype(array.dtype))
    _is_taken_or_refused(tensors, metadata, tmp_path)


def _is_taken_or_refused(tensors: Arrays, metadata: dict[str, Any], folder: Path) -> None:
    path = _write(folder / "x.safetensors", tensors, metadata)
    try:
        _resume_from(path)
    except (CheckpointError, ConfigError) as error:
        said = str(error)
        event("refused")
    else:
        said = str(path)
        event("taken")
    assert str(path) in said
