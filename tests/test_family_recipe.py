"""CONTRIBUTING's recipe "Add a distribution family", followed for a toy family in a copy.

Only the files that the recipe numbers are changed; then a model that uses the family is trained,
evaluated and exported, and an application samples from its posterior.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sxvae.distributions.families import SPHERICAL_DISTRIBUTIONS
from sxvae_export.polar_angle import POLAR_ANGLES
from sxvae_runtime.cosines import COSINE_SAMPLERS
from sxvae_runtime.families import SPHERICAL_FAMILIES

ROOT = Path(__file__).parent.parent
PACKAGES = ("sxvae", "cli/sxvae_cli", "exports/sxvae_export", "exports/sxvae_runtime")
NEW_FILE = "sxvae/distributions/<family>.py"

# On S^2, (1 + t) / 2 has the distribution Beta(2k + 1, 1), whose inverse is in closed form.
CLASS = '''
"""The toy family on S^2: density proportional to (1 + <loc, x>)^(2k)."""

import math

import torch

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.exponential_family import LOWEST_STATISTIC, ExponentialFamily, LogPartition
from sxvae.distributions.sampling.cosines import Cosines


class Toy(ExponentialFamily):
    _is_log_singular = True

    def _statistic(self, value):
        half_one_plus = (value.double() + self.loc.double()).square().sum(dim=-1) / 4
        return 2 * half_one_plus.clamp_min(math.exp(LOWEST_STATISTIC / 2)).log()

    def _log_partition(self, concentration):
        a = 2 * concentration + 1
        return LogPartition(-a.log(), -2 / a, 4 / a**2)

    def _near_uniform(self, concentration):
        return concentration <= 0.5

    def _draw_cosines(self, concentration):
        k = concentration.double()
        check_concentrations(k, "toy", self._ambient)
        logarithm = torch.rand_like(k).log() / (2 * k + 1)
        parts = -2 * logarithm.expm1(), 2 * logarithm.exp()
        return Cosines(*(part.clamp_min(1e-280) for part in parts))

    def _cosine_derivative(self, cosines, concentration, mean_minus_s, dtype):
        half_one_plus = cosines.one_plus / 2
        return 4 * half_one_plus * half_one_plus.log() / (2 * concentration + 1)

    def _moments(self):
        a = 2 * self.concentration.double() + 1
        across = 2 * a / ((a + 1) * (a + 2))
        return (a - 1) / (a + 1), 2 * across / (a + 1), across
'''

SAMPLER = """
def _draw_toy(k: Floats, ambient: int, rng: np.random.Generator) -> Floats:
    return -2 * np.expm1(np.log1p(-rng.random(k.shape)) / (2 * k + 1))


COSINE_SAMPLERS["toy"] = _draw_toy
"""


def _insert(marker: str, line: str) -> Callable[[str], str]:
    """Put a line behind the line that ends with a marker, once."""

    def edit(text: str) -> str:
        found = re.findall(rf"^.*{re.escape(marker)}\n", text, re.MULTILINE)
        assert len(found) == 1, (marker, found)
        return text.replace(found[0], f"{found[0]}{line}\n")

    return edit


_import_toy = _insert("import VonMisesFisher", "from sxvae.distributions.toy import Toy")
EDITS: dict[str, Callable[[str], str]] = {
    "exports/sxvae_runtime/families.py": _insert("SPHERICAL_TITLES = {", '    "toy": "toy",'),
    "exports/sxvae_runtime/cosines.py": lambda text: text + SAMPLER,
    NEW_FILE: lambda _: CLASS,
    "sxvae/distributions/families.py": lambda text: _import_toy(
        _insert("RotationallySymmetric]] = {", '    "toy": Toy,')(text)
    ),
    "sxvae/distributions/__init__.py": lambda text: _import_toy(text) + '__all__ += ["Toy"]\n',
    "exports/sxvae_export/polar_angle.py": _insert(
        "POLAR_ANGLES: dict[str, Exponents | Dilation] = {",
        '    "toy": Exponents(cosine=4.0, rate=0.0),',
    ),
}

CHECK_THE_LAW = """
import math
import torch
from torch.distributions import kl_divergence
from sxvae import ProductSpace
from sxvae.distributions import HypersphericalUniform, Toy

torch.manual_seed(0)
count = 20_000
k = torch.full((count, 1), 3.0, dtype=torch.float64, requires_grad=True)
loc = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
q = ProductSpace.parse("2", "toy").posterior(loc.expand(count, 3), k)
z = q.rsample()
cosine = (z * loc).sum(dim=-1)
assert abs(cosine.mean() - 6 / 8) < 5 * cosine.std() / math.sqrt(count)
(slopes,) = torch.autograd.grad(cosine.sum(), k)
assert abs(slopes.mean() - 4 / 8**2) < 5 * slopes.std() / math.sqrt(count)

toy, uniform = Toy(loc[0], 3.0), HypersphericalUniform(2, dtype=torch.float64)
x = toy.sample((count,))
ratio = 7 * ((1 + x @ loc[0]) / 2) ** 6
torch.testing.assert_close(toy.log_prob(x), uniform.log_prob(x) + ratio.log())
torch.testing.assert_close(kl_divergence(toy, uniform).item(), math.log(7) - 6 / 7)
"""

SAMPLE_IN_AN_APPLICATION = """
import sys
import numpy as np
import sxvae_runtime

app = sxvae_runtime.load("bundle")
assert [factor.family for factor in app.factors] == ["toy", "vmf"]
q = app.encode(np.random.default_rng(0).random((4, *app.input_shape)))
z = app.sample_posterior(q, samples=5_000, seed=0)
mean = (z * q.mean_direction)[..., :3].sum(axis=-1).mean(axis=0)
k = q.concentration[:, 0]
assert np.abs(mean - 2 * k / (2 * k + 2)).max() < 0.05
assert "torch" not in sys.modules
"""


def _recipe() -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, rest = re.split(r"^#+ Add a distribution family$", text, flags=re.MULTILINE)
    return re.split(r"^#+ ", rest, flags=re.MULTILINE)[0]


def _files_of_the_recipe() -> list[str]:
    return re.findall(r"^\d+\. `([^`]+)`", _recipe(), re.MULTILINE)


def _run(copy: Path, *arguments: str | Path) -> str:
    path = os.pathsep.join(str(copy / root) for root in (".", "cli", "exports"))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=copy / "work",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages with the toy family in them, and an empty folder `work`."""
    folder = tmp_path_factory.mktemp("copy")
    (folder / "work").mkdir()
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package)
    for name in _files_of_the_recipe():
        path = folder / name.replace("<family>", "toy")
        text = "" if name == NEW_FILE else path.read_text(encoding="utf-8")
        path.write_text(EDITS[name](text), encoding="utf-8")
    return folder


def test_the_recipe_names_the_files_and_their_tables() -> None:
    assert set(_files_of_the_recipe()) == set(EDITS)
    for table in ("SPHERICAL_TITLES", "COSINE_SAMPLERS", "SPHERICAL_DISTRIBUTIONS", "POLAR_ANGLES"):
        assert f"`{table}`" in _recipe()
    mentioned = re.findall(r"`((?:sxvae|cli|exports|tests|docs|web)/[^`<]+)`", _recipe())
    assert len(mentioned) > len(EDITS)
    for name in mentioned:
        assert (ROOT / name).exists(), name


def test_every_family_is_in_every_table() -> None:
    names = set(SPHERICAL_FAMILIES)
    assert names == set(SPHERICAL_DISTRIBUTIONS) == set(COSINE_SAMPLERS) == set(POLAR_ANGLES)


def test_the_new_family_has_its_distribution(copy: Path) -> None:
    found = _run(copy, "-c", "import sxvae.distributions as d; print(d.__file__)")
    assert found.startswith(str(copy))
    _run(copy, "-c", CHECK_THE_LAW)


def test_the_new_family_is_trained_evaluated_exported_and_sampled(copy: Path) -> None:
    def cli(*arguments: str) -> str:
        return _run(copy, "-m", "sxvae_cli", *arguments)

    assert "toy" in cli("train", "--help")
    cli(
        *("train", "--z-dims", "2,2", "--distribution", "toy,vmf", "--name", "run"),
        *("--epochs", "2", "--burn-in", "1", "--kl-warmup", "1", "--eval-samples", "20"),
    )
    assert "S^2 x S^2" in cli("inspect", "runs/run")
    cli("eval", "runs/run", "--samples", "20", "--json")
    cli("export", "runs/run", "--onnx", "--out", "bundle")
    cli("verify", "bundle")
    _run(copy, "-c", SAMPLE_IN_AN_APPLICATION)
