from __future__ import annotations

from typing import Any

import pytest

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import ConfigError


def test_settings_survive_json() -> None:
    settings = RunSettings(
        model=ModelSettings(z_dims=(4, 2), input_shape=(1, 8, 8)),
        data=DataSettings(data_dir="/data"),
        training=TrainingSettings(epochs=3, lr=0.01),
    )
    assert RunSettings.model_validate_json(settings.model_dump_json()) == settings


def test_unknown_keys_are_ignored() -> None:
    assert TrainingSettings.read({"epochs": 3, "from_the_future": 1}).epochs == 3


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"batch_size": -1},
        {"beta": -0.1},
        {"seed": -1},
        {"burn_in": -1},
        {"look_ahead": 0},
        {"epochs": "many"},
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingSettings(**values)
    assert str(caught.value).startswith(next(iter(values)))
    assert "\n" not in str(caught.value)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError, match="training is missing"):
        RunSettings.read({"model": {"input_shape": (1, 8, 8)}, "data": {}})


def test_too_few_entries_are_said_of_a_setting() -> None:
    with pytest.raises(ConfigError, match=r"^image_size: it has too few entries$"):
        DataSettings(image_size=(28,))  # type: ignore[arg-type]


def test_misspelt_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no setting 'epoch'"):
        TrainingSettings(**{"epoch": 3})  # type: ignore[arg-type]
