from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sxvae

FIXTURE = Path(__file__).parent / "fixtures" / "checkpoint_v1.safetensors"


def test_settings_and_metadata_need_no_torch() -> None:
    code = (
        "import sys, pathlib, sxvae, sxvae.config, sxvae.runs.directory\n"
        "from sxvae.runs.checkpoint import read_checkpoint\n"
        f"assert read_checkpoint(pathlib.Path({str(FIXTURE)!r})).settings.model.z_dims == (2, 1)\n"
        "assert str(sxvae.ProductSpace.parse('4,4')) == 'S^4 x S^4'\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists() -> None:
    for name in sxvae.__all__:
        assert getattr(sxvae, name) is not None
    assert set(sxvae.__all__) <= set(dir(sxvae))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sxvae.nonsense
