"""Whether training ends without a NaN: `python -m benchmarks.stability`.

Trains on the digits for 20 epochs over circles, small and large spheres and products of them, with
all spherical families and at learning rates of 1e-3 and 1e-2, and prints the test metrics. Exits
with 1 if one of them is not finite or a training fails.
"""

from __future__ import annotations

import math
import tempfile

import torch

from benchmarks.report import arguments, finish, print_table
from sxvae import ProductSpace, ProductSpaceVAE, TrainingSettings, fit, load_data
from sxvae.errors import SxvaeError
from sxvae_runtime.families import SPHERICAL_FAMILIES

SPACES = ["2", "3,3,3", "40", "100", "500", "2,2,2,2,2,2,2,2,2,2", "1,1,1"]
LEARNING_RATES = [1e-3, 1e-2]
EPOCHS, FEWER_EPOCHS = 20, 6


def train(dims: str, family: str, learning_rate: float, epochs: int) -> dict[str, float]:
    """The test metrics after training, in nats, and the largest mean concentration."""
    torch.manual_seed(0)
    data = load_data("digits")
    model = ProductSpaceVAE(ProductSpace.parse(dims, family), data.image_shape, (256, 128))
    settings = TrainingSettings(epochs=epochs, lr=learning_rate, eval_samples=100)
    with tempfile.TemporaryDirectory() as folder:
        metrics = fit(model, data, settings, runs_dir=folder).evaluation
    assert metrics is not None  # eval_samples is not 0
    names = ("log_likelihood", "elbo", "kl")
    return {
        **{name: float(metrics[name]) for name in names},
        "concentration": max(metrics["concentration_per_factor"]),
    }


def main() -> None:
    reduced = arguments(__doc__).reduced
    epochs = FEWER_EPOCHS if reduced else EPOCHS
    rows, broken = [], []
    for family in SPHERICAL_FAMILIES:
        for dims in SPACES:
            for learning_rate in LEARNING_RATES[-1:] if reduced else LEARNING_RATES:
                cell = f"{family}, {dims}, learning rate {learning_rate:g}"
                try:
                    metrics = train(dims, family, learning_rate, epochs)
                except SxvaeError as error:
                    broken.append(f"{cell}: {error}")
                    continue
                if not all(math.isfinite(value) for value in metrics.values()):
                    broken.append(f"{cell}: {metrics}")
                values = [f"{value:.2f}" for value in metrics.values()]
                rows.append([family, dims, f"{learning_rate:g}", *values])
    print(f"{epochs} epochs on the digits\n")
    print_table(
        ["family", "z-dims", "learning rate", "log-likelihood", "ELBO", "KL", "largest mean k"],
        rows,
    )
    finish(broken)


if __name__ == "__main__":
    main()
