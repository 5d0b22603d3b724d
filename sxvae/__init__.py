"""Product-space hyperspherical variational auto-encoders.

Names are imported when they are first used (PEP 562), so that settings and checkpoints' metadata
can be read without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sxvae.config import DataSettings as DataSettings
    from sxvae.config import ModelSettings as ModelSettings
    from sxvae.config import RunSettings as RunSettings
    from sxvae.config import TrainingSettings as TrainingSettings
    from sxvae.data import ImageData as ImageData
    from sxvae.data import Split as Split
    from sxvae.data import load_data as load_data
    from sxvae.errors import SxvaeError as SxvaeError
    from sxvae.evaluation.evaluate import evaluate as evaluate
    from sxvae.models.loading import load as load
    from sxvae.models.vae import ProductSpaceVAE as ProductSpaceVAE
    from sxvae.spaces import ProductSpace as ProductSpace
    from sxvae.training.fit import fit as fit
    from sxvae.training.fit import resume as resume
    from sxvae_runtime import __version__ as __version__

_HOMES = {
    "DataSettings": "config",
    "ImageData": "data",
    "ModelSettings": "config",
    "ProductSpace": "spaces",
    "ProductSpaceVAE": "models.vae",
    "RunSettings": "config",
    "Split": "data",
    "SxvaeError": "errors",
    "TrainingSettings": "config",
    "evaluate": "evaluation.evaluate",
    "fit": "training.fit",
    "load": "models.loading",
    "load_data": "data",
    "resume": "training.fit",
}

__all__ = [
    "DataSettings",
    "ImageData",
    "ModelSettings",
    "ProductSpace",
    "ProductSpaceVAE",
    "RunSettings",
    "Split",
    "SxvaeError",
    "TrainingSettings",
    "evaluate",
    "fit",
    "load",
    "load_data",
    "resume",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (each name has its own type, above)
    if name == "__version__":
        return importlib.import_module("sxvae_runtime").__version__
    if name not in _HOMES:
        raise AttributeError(f"module 'sxvae' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sxvae.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
