"""How many parameters the model of some settings has, known before any of it is allocated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sxvae.errors import ConfigError

if TYPE_CHECKING:
    from sxvae.config import ModelSettings

# With Adam's averages a model of so many parameters takes 32 GiB, its gradient not counted.
MOST_PARAMETERS = 2**31
# Numbers in an image, of which every batch has many.
MOST_VALUES = 2**28

_LEVELS_OF_CATEGORICAL = 256
_CNN_FEATURES = 256


def refuse_a_model_too_large(settings: ModelSettings) -> None:
    """Refuse settings of images or a model that no machine would hold.

    Raises:
        ConfigError: if there are more than `MOST_VALUES` or `MOST_PARAMETERS`; with their number.
    """
    values = math.prod(settings.input_shape)
    if values > MOST_VALUES:
        raise ConfigError(
            f"an image would have {values:,} values, and at most {MOST_VALUES:,} are taken",
            setting="input_shape",
        )
    count = parameter_count(settings)
    if count > MOST_PARAMETERS:
        widths = {
            "hidden_dims": max(settings.hidden_dims, default=0),
            "z_dims": _head_outputs(settings),
            "input_shape": values,
        }
        raise ConfigError(
            f"the model would have {count:,} parameters, {4 * count / 1e9:,.0f} GB, and at most "
            f"{MOST_PARAMETERS:,} are taken: choose smaller layers, dimensions or images",
            setting=max(widths, key=widths.__getitem__),
        )


def parameter_count(settings: ModelSettings) -> int:
    """The number of the model's parameters; only the head's, at least, for custom networks."""
    if settings.own_networks:
        return 2 * _head_outputs(settings)
    encoder, features = _encoder(settings)
    head = (features + 1) * _head_outputs(settings)
    radii = len(settings.space.spheres) if settings.learn_radius else 0
    scales = int(settings.likelihood == "gaussian" and settings.gaussian_scale == "learned")
    return encoder + head + _decoder(settings) + radii + scales


def _encoder(settings: ModelSettings) -> tuple[int, int]:
    """Its parameters and its features."""
    channels, height, width = settings.input_shape
    if settings.encoder == "mlp":
        widths = (math.prod(settings.input_shape), *settings.hidden_dims)
        return _linear(widths), widths[-1]
    plane = (height // 4) * (width // 4)
    convolutions = ((channels, 32), (32, 32), (32, 64), (64, 64), (64, 64))
    gated = sum(_gated(*each) for each in convolutions) + _gated(64, _CNN_FEATURES, plane)
    return gated, _CNN_FEATURES


def _decoder(settings: ModelSettings) -> int:
    channels, height, width = settings.input_shape
    ambient = settings.space.ambient
    is_categorical = settings.likelihood == "categorical"
    outputs = channels * (_LEVELS_OF_CATEGORICAL if is_categorical else 1)
    if settings.decoder == "mlp":
        return _linear((ambient, *reversed(settings.hidden_dims), outputs * height * width))
    convolutions = [(64, 64), (64, 32), (32, 32), (32, 32), (32, 32)]
    last = _LEVELS_OF_CATEGORICAL if is_categorical else 32
    if is_categorical:
        convolutions.append((32, last))
    gated = sum(_gated(*each) for each in convolutions)
    plane = (height // 4) * (width // 4)
    return _gated(ambient, 64, plane) + gated + (last + 1) * outputs


def _head_outputs(settings: ModelSettings) -> int:
    """A mean's coordinates, a concentration for each sphere, and the free numbers of the scales."""
    space = settings.space
    dims = [space.factors[index].dim for index in space.euclidean]
    scales = {
        "single": len(dims),
        "diagonal": sum(dims),
        "full": sum(dim * (dim + 1) // 2 for dim in dims),
    }[settings.covariance]
    return space.ambient + len(space.spheres) + scales


def _linear(widths: Sequence[int]) -> int:
    return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(widths))


def _gated(inputs: int, outputs: int, kernel: int = 25) -> int:
    return 2 * outputs * (inputs * kernel + 1)
