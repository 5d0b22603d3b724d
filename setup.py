"""What pyproject.toml can't say: `sxvae` has the version of `sxvae-runtime`, and depends on it.

The version stands in exports/sxvae_runtime/_version.py alone.
"""

import runpy
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = runpy.run_path(str(ROOT / "exports" / "sxvae_runtime" / "_version.py"))["__version__"]


class CleanBuild(build_py):
    """Builds from nothing: what an older version left in `build/` would get into the wheel."""

    def run(self) -> None:
        """Build what goes into the wheel."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    cmdclass={"build_py": CleanBuild},
    version=VERSION,
    install_requires=[
        f"sxvae-runtime=={VERSION}",
        "numpy>=2.0",
        "matplotlib>=3.9",
        "numba>=0.61",
        "onnx>=1.18",
        "onnxruntime>=1.20",
        "onnxscript>=0.6.2",
        "pillow>=10.3",
        "platformdirs>=4.0",
        "pydantic>=2.8",
        "rich>=13.8",
        "safetensors>=0.4.5",
        "scikit-learn>=1.5",
        "scipy>=1.14",
        "torch>=2.9",
        "torchvision>=0.24",
        "typer>=0.20",
    ],
)
