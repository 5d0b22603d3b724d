"""What free bits cost, and whether they keep every factor alive, on the default run.

    python -m benchmarks.free_bits [--reduced] [--bits 0,0.5] [--seeds 5]

Trains on digits with the settings of `sxvae train`, a run for each seed and each number of free
bits, on one thread. The cost is the mean over the seeds of the difference from no free bits, with
the standard error of that mean.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from typing import Any

from sxvae import ProductSpace, ProductSpaceVAE, TrainingSettings, fit, load_data
from sxvae.config import RunSettings
from sxvae.training.fit import initial_model

DIMS = "4,4"


def evaluation(bits: float, seed: int, reduced: bool) -> dict[str, Any]:
    """The test metrics of a run."""
    settings = TrainingSettings(seed=seed, free_bits=bits)
    if reduced:
        shorter = {"epochs": 4, "kl_warmup": 2, "burn_in": 0, "eval_samples": 10}
        settings = settings.model_copy(update=shorter)
    data = load_data("digits")
    shape = ProductSpaceVAE(ProductSpace.parse(DIMS), data.image_shape).settings
    model = initial_model(RunSettings(model=shape, data=data.settings, training=settings))
    with tempfile.TemporaryDirectory() as folder:
        found = fit(model, data, settings, runs_dir=folder, threads=1).evaluation
    assert found is not None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="a few epochs and two seeds")
    parser.add_argument("--bits", default="0,0.5", help="free bits, nats per factor")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    options = parser.parse_args()
    seeds = range(2 if options.reduced else options.seeds)
    print("| free bits | seed | ELBO | log-likelihood | KL | mutual information | collapsed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found: dict[float, list[dict[str, Any]]] = {}
    for bits in map(float, options.bits.split(",")):
        for seed in seeds:
            metrics = evaluation(bits, seed, options.reduced)
            found.setdefault(bits, []).append(metrics)
            print(f"| {bits:g} | {seed} | {_cells(metrics)} |", flush=True)
    print()
    for bits, runs in found.items():
        if bits and 0.0 in found:
            for key in ("elbo", "log_likelihood"):
                print(f"{key}, {bits:g} free bits: {_difference(key, runs, found[0.0])}")


def _cells(metrics: dict[str, Any]) -> str:
    collapsed = [str(i + 1) for i, value in enumerate(metrics["collapsed"]) if value]
    cells = [
        f"{metrics['elbo']:.2f}",
        f"{metrics['log_likelihood']:.2f} ± {metrics['log_likelihood_se']:.2f}",
        ", ".join(f"{value:.2f}" for value in metrics["kl_per_factor"]),
        ", ".join(f"{value:.2f}" for value in metrics["mutual_information"]),
        f"factor {', '.join(collapsed)}" if collapsed else "none",
    ]
    return " | ".join(cells)


def _difference(key: str, runs: list[dict[str, Any]], without: list[dict[str, Any]]) -> str:
    differences = [a[key] - b[key] for a, b in zip(runs, without, strict=True)]
    mean = statistics.fmean(differences)
    if len(differences) == 1:
        return f"{mean:+.2f} nats"
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{mean:+.2f} ± {error:.2f} nats"


if __name__ == "__main__":
    main()
