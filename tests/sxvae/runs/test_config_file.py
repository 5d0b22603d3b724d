"""config.json, as we write it and as somebody else might."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import ConfigError
from sxvae.runs.config_file import read_config
from sxvae.runs.directory import RunDirectory

SETTINGS = RunSettings(
    model=ModelSettings(input_shape=(1, 8, 8)), data=DataSettings(), training=TrainingSettings()
)


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    run = RunDirectory(tmp_path)
    run.write_config(SETTINGS, {"epochs": 3}, "2026-01-01T00:00:00+00:00")
    return read_config(run.config)


def test_unknown_keys_are_kept(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**content, "from_the_future": [1]}))
    assert read_config(path)["from_the_future"] == [1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is nested more than 32 levels deep"),
        ('{"format_version": 1, "format_version": 1}', "has the key format_version twice"),
        ('{"format_version": 1, "lr": Infinity}', "lr is inf, not a finite number"),
        ("{}", "is not a config.json of sxvae"),
        ('{"format_version": true}', "format_version: must be a whole number, not True"),
        ('{"format_version": 99}', "it was written by a newer sxvae: install that"),
        ('{"format_version": 1, "started": 3}', "started: must be a text, not 3"),
        ('{"format_version": 1, "given": 3}', "given: must be named values, not 3"),
        ('{"format_version": 1}', "model is missing"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    kinds = (pipe, "named pipe"), (tmp_path, "folder"), (Path("/dev/zero"), "device")
    for path, kind in kinds:
        with pytest.raises(ConfigError, match=f"is a {kind} and no file"):
            read_config(path)
    large = tmp_path / "config.json"
    with large.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(ConfigError, match="has 16,777,217 bytes, more than"):
        read_config(large)


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
def test_any_value_is_taken_or_refused_in_a_sentence(
    content: dict[str, Any], tmp_path: Path, data: st.DataObject
) -> None:
    changed = copy.deepcopy(content)
    section = data.draw(st.sampled_from(("model", "data", "training")))
    key = data.draw(st.sampled_from(sorted(changed[section])))
    scalars: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    )
    scalars |= st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((10**9, 10**30))
    changed[section][key] = data.draw(scalars | st.lists(scalars, max_size=3))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(changed))
    try:
        read_config(path)
    except ConfigError as error:
        said = str(error)
        event("refused")
    else:
        said = str(path)
        event("taken")
    assert str(path) in said
    assert "\n" not in said
