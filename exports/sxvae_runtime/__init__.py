"""Run an exported sxvae model with numpy and onnxruntime, without PyTorch."""

from sxvae_runtime.bundle import Bundle, Posterior, load
from sxvae_runtime.errors import (
    BundleError,
    BundleNotFoundError,
    InputError,
    RuntimeBundleError,
)

__all__ = [
    "Bundle",
    "BundleError",
    "BundleNotFoundError",
    "InputError",
    "Posterior",
    "RuntimeBundleError",
    "load",
]
