from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from sxvae.errors import CheckpointError
from sxvae.runs.checkpoint import _digest, read_checkpoint, write_checkpoint
from sxvae.runs.directory import find_checkpoint
from sxvae.runs.formats import FORMAT_VERSION

SETTINGS: dict[str, Any] = {
    "model": {"z_dims": [2], "input_shape": [1, 2, 2]},
    "data": {},
    "training": {},
}


def _write(path: Path, **metadata: Any) -> bytes:
    tensors: dict[str, np.ndarray] = {
        "model.a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "optimizer.0.step": np.array(3.0, dtype=np.float32),
        "rng.cpu": np.arange(4, dtype=np.uint8),
    }
    write_checkpoint(path, tensors, {"settings": SETTINGS, "epoch": 7, **metadata})
    return path.read_bytes()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return _write(tmp_path_factory.mktemp("small") / "x.safetensors")


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    _write(path, note="é")
    checkpoint = read_checkpoint(path)
    assert checkpoint.metadata["epoch"] == 7
    assert checkpoint.metadata["note"] == "é"
    assert checkpoint.settings.model.z_dims == (2,)
    assert set(checkpoint.part("model")) == {"a"}
    np.testing.assert_array_equal(checkpoint.part("model")["a"], [[0, 1, 2], [3, 4, 5]])
    assert checkpoint.tensors["optimizer.0.step"].shape == ()
    assert checkpoint.tensors["rng.cpu"].dtype == np.uint8
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    assert _write(tmp_path / "a") == _write(tmp_path / "b")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_changes_nothing(
    small: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(small) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(small)
    damaged[position] ^= 1 << bit
    path = tmp_path / "x.safetensors"
    path.write_bytes(small)
    sound = read_checkpoint(path)
    path.write_bytes(damaged)
    try:
        read = read_checkpoint(path)
    except CheckpointError:
        refused = True
    else:
        refused = False
        assert read.metadata == sound.metadata
        assert set(read.tensors) == set(sound.tensors)
        for name, array in sound.tensors.items():
            np.testing.assert_array_equal(read.tensors[name], array)
    # Nearly every bit counts: the exceptions are letters in JSON that mean the same in both cases.
    event(f"refused: {refused}")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_truncated_file_is_refused(small: bytes, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(small[: data.draw(st.integers(0, len(small) - 1))])
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(path)


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "missing.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(3)}, foreign)
    with pytest.raises(CheckpointError, match="not a checkpoint of sxvae"):
        read_checkpoint(foreign)
    foreign.write_text("not even safetensors")
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        read_checkpoint(foreign)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"x\.safetensors is a named pipe and no file"):
        read_checkpoint(find_checkpoint(path, tmp_path))
    with pytest.raises(CheckpointError, match=r"x\.safetensors is a named pipe and no file"):
        read_checkpoint(path)
    with pytest.raises(CheckpointError, match="is a folder and no file"):
        read_checkpoint(tmp_path)


def test_a_link_to_a_checkpoint_is_read(small: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(small)
    (tmp_path / "b.safetensors").symlink_to("a.safetensors")
    assert read_checkpoint(tmp_path / "b.safetensors").path.name == "b.safetensors"


def test_a_file_that_names_a_tensor_twice_is_refused(small: bytes, tmp_path: Path) -> None:
    """The library would take one of the two, with a right checksum."""
    path = tmp_path / "x.safetensors"
    start = small.index(b'"model.a":')
    entry = small[start : small.index(b"}", start) + 1]
    header = small[8 : 8 + int.from_bytes(small[:8], "little")].rstrip()
    twice = header[:-1] + b"," + entry + b"}"
    path.write_bytes(len(twice).to_bytes(8, "little") + twice + small[8 + len(header) :].lstrip())
    with pytest.raises(CheckpointError, match=r"has the key 'model\.a' twice"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"epoch": "7"}, "epoch: must be a whole number, not '7'"),
        ({"kind": "middle"}, "kind: must be 'best' or 'last', not 'middle'"),
        ({"metrics": [1]}, "metrics: must be named values, not [1]"),
        ({"versions": {"torch": 2}}, "versions: must be a text, not 2"),
        ({"format_version": True}, "format_version: must be a whole number, not True"),
        ({"format_version": -1}, "format_version: must be at least 1, not -1"),
        ({"settings": []}, "settings are named values, not []"),
        ({"settings": {**SETTINGS, "data": None}}, "data: settings are named values, not None"),
        ({"settings": {**SETTINGS, "data": {"dataset": "a\0"}}}, "data.dataset: must be a text"),
        (
            {"settings": {**SETTINGS, "training": {"epochs": 3.0}}},
            "training.epochs: must be a whole number, not 3.0",
        ),
    ],
)
def test_metadata_of_other_types_are_refused(
    tmp_path: Path, metadata: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "x.safetensors"
    content = {"settings": SETTINGS, "format_version": FORMAT_VERSION, **metadata}
    content["sha256"] = _digest({}, content)
    path.write_bytes(save({}, metadata={"sxvae": json.dumps(content)}))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{", '{"a": NaN}', "[" * 100_000, '{"a": 1, "a": 1}'])
def test_metadata_that_are_no_sound_json_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({}, metadata={"sxvae": text}))
    with pytest.raises(CheckpointError, match="its metadata"):
        read_checkpoint(path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    content = json.dumps({"format_version": FORMAT_VERSION + 1})
    save_file({"a": np.zeros(3)}, path, metadata={"sxvae": content})
    with pytest.raises(CheckpointError, match="install a newer sxvae"):
        read_checkpoint(path)
