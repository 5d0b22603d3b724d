"""The spherical families side by side on the digits: `python -m benchmarks.families`.

Trains with the defaults of `sxvae train` and prints the test metrics: over one and two spheres, for
two seeds. The effective sample size is that of 500 importance samples.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch

from benchmarks.report import arguments, print_table
from sxvae import ProductSpace, ProductSpaceVAE, TrainingSettings, fit, load_data
from sxvae.evaluation.evaluate import evaluate
from sxvae.models.loading import load
from sxvae_runtime.families import SPHERICAL_FAMILIES

SPACES, SEEDS, SAMPLES = ["4,4", "9"], [0, 1], 500
FEWER_EPOCHS = 4


def trained(dims: str, family: str, seed: int, epochs: int | None) -> dict[str, Any]:
    """The test metrics of the best model, in nats."""
    torch.manual_seed(seed)
    data = load_data("digits")
    model = ProductSpaceVAE(ProductSpace.parse(dims, family), data.image_shape, (256, 128))
    settings = TrainingSettings(seed=seed, eval_samples=0)
    if epochs is not None:
        settings = TrainingSettings(seed=seed, eval_samples=0, epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        best, _ = load(fit(model, data, settings, runs_dir=folder).best)
        return evaluate(best, data, samples=SAMPLES).as_dict()


def main() -> None:
    reduced = arguments(__doc__).reduced
    rows = []
    for dims in SPACES[:1] if reduced else SPACES:
        for family in SPHERICAL_FAMILIES:
            for seed in SEEDS[:1] if reduced else SEEDS:
                found = trained(dims, family, seed, FEWER_EPOCHS if reduced else None)
                concentrations = [f"{k:.3g}" for k in found["concentration_per_factor"]]
                rows.append(
                    [
                        dims,
                        family,
                        seed,
                        f"{found['log_likelihood']:.2f} ± {found['log_likelihood_se']:.2f}",
                        f"{found['elbo']:.2f}",
                        f"{found['kl']:.2f}",
                        f"{found['effective_sample_size']:.0f}",
                        ", ".join(concentrations),
                    ]
                )
    header = ["z-dims", "family", "seed", "log-likelihood", "ELBO", "KL"]
    print_table([*header, "effective samples", "mean k of each sphere"], rows)


if __name__ == "__main__":
    main()
