"""Run an exported sxvae model with numpy and onnxruntime, without PyTorch.

`load` and what it returns are imported when they are first used (PEP 562), so that a manifest can
be read without onnxruntime.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from sxvae_runtime._version import __version__
from sxvae_runtime.errors import (
    BundleError,
    BundleNotFoundError,
    InputError,
    MissingPackageError,
    RuntimeBundleError,
)

# Newer builds of onnxruntime send usage data and keep an identifier in the user's cache folder,
# unless this is set before they are imported. It is left as it is where the user has set it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from sxvae_runtime.bundle import Bundle
    from sxvae_runtime.factors import Factor
    from sxvae_runtime.loading import load
    from sxvae_runtime.posterior import Posterior

__all__ = [
    "Bundle",
    "BundleError",
    "BundleNotFoundError",
    "Factor",
    "InputError",
    "MissingPackageError",
    "Posterior",
    "RuntimeBundleError",
    "__version__",
    "load",
]

_HOMES = {
    "Bundle": "bundle",
    "Factor": "factors",
    "Posterior": "posterior",
    "load": "loading",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 (each name has its own type, above)
    if name not in _HOMES:
        raise AttributeError(f"module 'sxvae_runtime' has no attribute {name!r}")
    return getattr(importlib.import_module(f"sxvae_runtime.{_HOMES[name]}"), name)
