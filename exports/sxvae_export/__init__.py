"""Export trained models as bundles that run without PyTorch."""

from sxvae_export.bundle import Exported, export_bundle

__all__ = ["Exported", "export_bundle"]
