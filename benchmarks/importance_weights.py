"""Whether importance-weighted estimates are bounds: `python -m benchmarks.importance_weights`.

With p(x given z) = 1 the log-likelihood is 0, and log(mean of p(z) / q(z)) estimates it: 0 where
the KL is small, below where it is large, above never. Tried on single spheres up to S^1000 and on
products, for all spherical families and k from 0.1 to 1e4. Exits with 1 if an estimate is more than
4 standard errors above 0, or as much below where the KL is at most 1 nat.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from benchmarks.report import arguments, finish, print_table
from sxvae import ProductSpace
from sxvae_runtime.families import SPHERICAL_FAMILIES

SPACES = ["1", "2", "4", "9", "40", "100", "1000", "4,4", "2,2,2,2,2,2,2,2,2,2", "1,40,3"]
CONCENTRATIONS = [0.1, 1.0, 12.0, 100.0, 1e3, 1e4]
FEWER_SPACES, FEWER_CONCENTRATIONS = ["1", "40", "1000", "1,40,3"], [0.1, 12.0, 1e4]
# Enough samples that the estimate's own bias, var(w) / (2 K), is well below its standard error.
SAMPLES, REPEATS = 2_000, 100
FEWER_SAMPLES, FEWER_REPEATS = 500, 50
SIGMAS, SMALL_KL = 4, 1.0
_CHUNK_ENTRIES = 20_000_000


class Estimate(NamedTuple):
    """Over repetitions: the mean of the estimate, its standard error, and the KL, in nats."""

    mean: float
    standard_error: float
    kl: float


def log_weights(
    space: ProductSpace, concentration: float, samples: int, repeats: int
) -> tuple[Tensor, float]:
    """log p(z) - log q(z) of `samples` draws for each of `repeats` posteriors, and the KL."""
    loc = space.normalize(torch.randn(repeats, space.ambient, dtype=torch.float64))
    k = torch.full((repeats, len(space.factors)), concentration, dtype=torch.float64)
    posterior, prior = space.posterior(loc, k), space.prior(dtype=torch.float64)
    parts = []
    at_once = max(1, _CHUNK_ENTRIES // (repeats * space.ambient))
    for start in range(0, samples, at_once):
        z = posterior.sample((min(at_once, samples - start),))
        parts.append(prior.log_prob(z) - posterior.log_prob(z))
    return torch.cat(parts), kl_divergence(posterior, prior.expand((repeats,)))[0].item()


def estimate(space: ProductSpace, concentration: float, samples: int, repeats: int) -> Estimate:
    weights, kl = log_weights(space, concentration, samples, repeats)
    estimates = torch.logsumexp(weights, dim=0) - math.log(samples)
    standard_error = estimates.std().item() / math.sqrt(repeats)
    return Estimate(estimates.mean().item(), standard_error, kl)


def main() -> None:
    reduced = arguments(__doc__).reduced
    torch.manual_seed(0)
    counts = (FEWER_SAMPLES, FEWER_REPEATS) if reduced else (SAMPLES, REPEATS)
    rows, broken = [], []
    for family in SPHERICAL_FAMILIES:
        for dims in FEWER_SPACES if reduced else SPACES:
            space = ProductSpace.parse(dims, family)
            for concentration in FEWER_CONCENTRATIONS if reduced else CONCENTRATIONS:
                found = estimate(space, concentration, *counts)
                errors = found.mean / found.standard_error
                cell = f"{family}, {dims}, k = {concentration:g}"
                if not errors <= SIGMAS:
                    broken.append(f"{cell}: {errors:+.1f} standard errors above 0")
                if found.kl <= SMALL_KL and not errors >= -SIGMAS:
                    broken.append(
                        f"{cell}: {errors:+.1f} standard errors, the KL is {found.kl:.2f}"
                    )
                rows.append(
                    [
                        family,
                        dims,
                        f"{concentration:g}",
                        f"{found.kl:.3g}",
                        f"{found.mean:+.2g} +- {found.standard_error:.1g}",
                        f"{errors:+.1f}",
                    ]
                )
    print(f"{counts[0]:,} samples, {counts[1]} repetitions a row\n")
    print_table(["family", "z-dims", "k", "KL", "estimate, nats", "in standard errors"], rows)
    finish(broken)


if __name__ == "__main__":
    main()
