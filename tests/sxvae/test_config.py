from __future__ import annotations

import itertools
from typing import Any

import pytest

from sxvae.config import DataSettings, ModelSettings, RunSettings, TrainingSettings
from sxvae.errors import ConfigError
from sxvae.model_size import parameter_count
from sxvae.models.vae import ProductSpaceVAE


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


@pytest.mark.parametrize(
    "values",
    [{"epochs": "3"}, {"epochs": 3.0}, {"epochs": True}, {"lr": "0.1"}, {"tensorboard": 1}],
)
def test_values_in_files_have_their_own_type(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        TrainingSettings.read(values)


def test_the_number_of_parameters_is_known_before_there_is_a_model() -> None:
    choices = itertools.product(
        ("mlp", "cnn"), ("mlp", "cnn"), ("bernoulli", "gaussian", "categorical"), ("single", "full")
    )
    for encoder, decoder, likelihood, covariance in choices:
        values: dict[str, Any] = {
            "z_dims": (2, 3, 1),
            "distribution": ("vmf", "normal", "power-spherical"),
            "covariance": covariance,
            "learn_radius": covariance == "full",
            "input_shape": (3, 8, 12),
            "hidden_dims": (7, 5),
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
        }
        settings = ModelSettings(**values)
        tensors = ProductSpaceVAE.from_settings(settings).state_dict().values()
        assert parameter_count(settings) == sum(tensor.numel() for tensor in tensors)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"hidden_dims": (10**8,)},
            "hidden_dims: the model would have 14,200,000,071 parameters, 57 GB, and at most",
        ),
        ({"hidden_dims": (10**9,)}, "hidden_dims: must be at most 134,217,728, not 1000000000"),
        ({"hidden_dims": (10**30,)}, "hidden_dims: must be at most 134,217,728, not 1000000000"),
        ({"hidden_dims": (1,) * 2_000}, "hidden_dims: must have at most 1000 entries"),
        ({"z_dims": (10**9,)}, "the dimensions of a space are at most 1,048,576 together"),
        ({"z_dims": (1,) * 20_000}, "z_dims: must have at most 16384 entries"),
        (
            {"z_dims": (3_000,), "distribution": ("normal",), "covariance": "full"},
            "full covariances have at most 4,194,304 entries together, not 9,000,000",
        ),
        ({"input_shape": (1, 2**16, 2**15)}, "input_shape: an image would have 2,147,483,648"),
        ({"input_shape": (3, 2**13, 2**13)}, "input_shape: the model would have 103,"),
        ({"input_shape": (1, 1, 10**30)}, "input_shape: must be at most 65,536"),
    ],
)
def test_a_model_that_no_machine_holds_is_refused_before_it_is_made(
    values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelSettings(**{"z_dims": (2, 1), "input_shape": (1, 8, 8), **values})
    assert sentence in str(caught.value)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ConfigError, match="training is missing"):
        RunSettings.read({"model": {"input_shape": (1, 8, 8)}, "data": {}})


def test_too_few_entries_are_said_of_a_setting() -> None:
    with pytest.raises(ConfigError, match=r"^image_size: it has too few entries$"):
        DataSettings(image_size=(28,))  # type: ignore[arg-type]


def test_misspelt_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no setting 'epoch'"):
        TrainingSettings(**{"epoch": 3})  # type: ignore[arg-type]
