"""Read a run's metrics.jsonl and evaluation.json, which may come from somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sxvae.config import SplitName
from sxvae.errors import CheckpointError, ConfigError
from sxvae.setting_types import NotNegative, Positive, Seed, Text
from sxvae.settings import Settings
from sxvae.space_bounds import MOST_FACTORS
from sxvae_runtime.json_values import JsonProblemError, parse_object
from sxvae_runtime.regular_files import UnfitFileError, read_regular_file

# In bytes. An epoch's line has some 600, and an evaluation as many.
_LARGEST_LINES = 2**30
_LARGEST_EVALUATION = 2**26

# No honest metric meets the bounds; a larger number would fill the screen with its digits.
_Metric = Annotated[float, Field(ge=-1e100, le=1e100)]
_PerFactor = Annotated[tuple[_Metric, ...], Field(max_length=MOST_FACTORS)]


class _Epoch(Settings):
    """The types of a line of metrics.jsonl. What has a default here need not be there."""

    epoch: Positive
    kl_weight: _Metric = 0
    lr: _Metric = 0
    loss: _Metric = 0
    reconstruction: _Metric = 0
    kl: _Metric = 0
    kl_per_factor: _PerFactor = ()
    val_elbo: _Metric = 0
    val_reconstruction: _Metric = 0
    val_kl: _Metric = 0
    val_kl_per_factor: _PerFactor = ()
    val_log_likelihood: _Metric = 0
    seconds: _Metric = 0


class _Evaluation(Settings):
    """The types of evaluation.json. What has a default here is not there in older ones."""

    log_likelihood: _Metric
    log_likelihood_se: _Metric | None
    elbo: _Metric
    reconstruction: _Metric
    kl: _Metric
    kl_per_factor: _PerFactor
    concentration_per_factor: Annotated[tuple[_Metric | None, ...], Field(max_length=MOST_FACTORS)]
    effective_sample_size: _Metric = 0
    mutual_information: _PerFactor = ()
    mutual_information_se: _PerFactor | None = None
    marginal_kl: _PerFactor = ()
    marginal_kl_se: _PerFactor | None = None
    collapsed: Annotated[tuple[bool, ...], Field(max_length=MOST_FACTORS)] | None = None
    active_factors: NotNegative | None = 0
    images: Positive
    samples: Positive
    seed: Seed
    split: SplitName
    binarization: Text = ""
    checkpoint: Text
    dataset: Text


def read_lines(path: Path) -> list[bytes]:
    """The complete lines of a file of JSON lines; none if there is no file.

    Raises:
        CheckpointError: if it is no file that can be read, or very large.
    """
    try:
        return read_regular_file(path, _LARGEST_LINES, links=True).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except UnfitFileError as error:
        raise CheckpointError(f"{path} {error}") from None


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """All complete lines of metrics.jsonl, which are those of epochs 1, 2, 3 and so on.

    Raises:
        CheckpointError: if one is damaged, or it is no file that can be read.
    """
    epochs = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            epochs.append(_epoch(line, number))
        except (JsonProblemError, ConfigError) as error:
            raise CheckpointError(
                f"line {number} of {path} is damaged ({error}): it should be the JSON object of "
                f"epoch {number}"
            ) from error
    return epochs


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """The metrics of evaluation.json, without keys that are not known; None if it has none.

    A file that is damaged, or has other metrics than ours, counts as missing: they can be measured
    again.
    """
    try:
        content = parse_object(read_regular_file(path, _LARGEST_EVALUATION, links=True))
        _Evaluation.read(content)
    except (OSError, UnfitFileError, JsonProblemError, ConfigError):
        return None
    return {name: value for name, value in content.items() if name in _Evaluation.model_fields}


def _epoch(line: bytes, number: int) -> dict[str, Any]:
    content = parse_object(line)
    found = _Epoch.read(content)
    if found.epoch != number:
        raise ConfigError(f"its epoch is {found.epoch}")
    if ("reconstruction" in content) != ("kl" in content):
        raise ConfigError("it has one of reconstruction and kl without the other")
    return content
