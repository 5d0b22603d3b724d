"""Without Numba everything works by PyTorch, and one remark says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# The message is Numba's own where NumPy is newer than it knows.
REASON = "Numba needs NumPy 2.3 or less. Got NumPy 2.5."
WITHOUT_NUMBA = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numba":
            raise ImportError({REASON!r})

sys.meta_path.insert(0, Blocked())
"""
COMMAND_LINE = f"""
{WITHOUT_NUMBA}
from sxvae_cli.main import main
main()
"""
DISTRIBUTIONS = f"""
{WITHOUT_NUMBA}
import torch
from sxvae.distributions import PowerSpherical, VonMisesFisher

loc = torch.nn.functional.normalize(torch.randn(3, 5), dim=-1).requires_grad_()
k = torch.tensor([1.0, 10.0, 100.0], requires_grad=True)
for family in VonMisesFisher, PowerSpherical:
    q = family(loc, k)
    x = q.rsample((1_000,))
    assert torch.allclose(x.norm(dim=-1), torch.ones(()))
    # Within 6 standard errors: the variance of a coordinate is at most 1.
    assert (x.mean(dim=0) - q.mean).abs().max() < 6 / 1_000**0.5
    for gradient in torch.autograd.grad(x.sum() + q.entropy().sum(), (loc, k)):
        assert gradient.isfinite().all()
"""


def _run(code: str, *args: str, cwd: Path, remarks: int = 1) -> subprocess.CompletedProcess[str]:
    """Run a program that exits with 0; it says so many times on stderr that Numba is missing."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sum("Numba" in line for line in done.stderr.splitlines()) == remarks, done.stderr
    assert done.stderr.count(REASON) == remarks
    return done


def test_a_model_is_trained_and_evaluated(tmp_path: Path) -> None:
    space = ("--z-dims", "3,2", "--distribution", "vmf,power-spherical")
    short = ("--epochs", "2", "--burn-in", "0", "--kl-warmup", "1", "--eval-samples", "5")
    _run(COMMAND_LINE, "train", *space, *short, "--name", "run", cwd=tmp_path)
    epochs = (tmp_path / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(epoch)["loss"] for epoch in epochs]
    assert losses[-1] < losses[0]
    evaluated = json.loads((tmp_path / "runs" / "run" / "evaluation.json").read_text())
    test = ("eval", "runs/run", "--samples", "5", "--json", "--quiet")
    again = _run(COMMAND_LINE, *test, cwd=tmp_path, remarks=0)
    assert json.loads(again.stdout)["elbo"] == evaluated["elbo"]


def test_distributions_are_sampled_and_differentiated(tmp_path: Path) -> None:
    _run(DISTRIBUTIONS, cwd=tmp_path)
