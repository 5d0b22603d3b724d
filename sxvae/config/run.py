"""All the settings of a run together."""

from __future__ import annotations

from sxvae.config.data import DataSettings
from sxvae.config.model import ModelSettings
from sxvae.config.training import TrainingSettings
from sxvae.settings import Settings


class RunSettings(Settings):
    """All the settings of a run."""

    model: ModelSettings
    data: DataSettings
    training: TrainingSettings
