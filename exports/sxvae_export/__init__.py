"""Export trained models as bundles that run without PyTorch."""

import sxvae_runtime as sxvae_runtime  # first: it turns off what onnxruntime sends when imported
from sxvae_export.accuracy_loss import AccuracyLoss
from sxvae_export.bundle import Exported, export_bundle
from sxvae_export.triton import write_model_repository

__all__ = ["AccuracyLoss", "Exported", "export_bundle", "write_model_repository"]
