from __future__ import annotations

import subprocess
import sys

import pytest

from sxvae import plotting


def test_figures_need_no_torch_and_a_grid_no_matplotlib() -> None:
    code = (
        "import sys\n"
        "from sxvae.plotting import image_grid, save_png\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
        "from sxvae.plotting import *\n"
        "import sxvae.plotting.report\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists() -> None:
    for name in plotting.__all__:
        assert getattr(plotting, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = plotting.nonsense
