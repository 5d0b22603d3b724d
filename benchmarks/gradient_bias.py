"""Whether sampling gradients are unbiased: `python -m benchmarks.gradient_bias`.

Compares the mean of dt/dk over a million pathwise samples, t = <loc, x>, with the derivative of
E[t], for all spherical families. Beside it stands what the von Mises-Fisher gradient would be if
the sample were differentiated through the accepted proposal of the rejection sampler alone, as
existing code does: its bias. Exits with 1 if a mean is more than 4 standard errors off, or a
standard error above 1% of a derivative over 1e-6.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.report import arguments, finish, print_table
from sxvae.distributions import PowerSpherical, SphericalCauchy, VonMisesFisher
from sxvae.distributions.rotational import RotationallySymmetric

AMBIENTS = [2, 3, 5, 10, 50, 200]
CONCENTRATIONS = [0.1, 1.0, 10.0, 100.0, 1_000.0]
SAMPLES, CHUNK = 1_000_000, 50_000
FEWER_AMBIENTS, FEWER_CONCENTRATIONS, FEWER_SAMPLES = [2, 3, 200], [0.1, 10.0, 1_000.0], 50_000
SIGMAS = 4
# The standard error's own bound is stated for a million samples.
LARGEST_ERROR, SMALLEST_SLOPE = 0.01, 1e-6


class Gradients(NamedTuple):
    """The derivative of E[t] by k: exact, estimated with its standard error, and uncorrected."""

    exact: float
    mean: float
    standard_error: float
    uncorrected: float | None


def exact_slope(family: type[RotationallySymmetric], loc: Tensor, concentration: float) -> float:
    k = torch.tensor(concentration, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(family(loc, k).mean[0], k)
    return float(slope)


def uncorrected_slope(cosine: Tensor, concentration: float, ambient: int) -> Tensor:
    """dt/dk for a fixed accepted proposal e of Wood's sampler, 1 - t = 2 b e / (1 - (1-b) e)."""
    root = math.hypot(2 * concentration, ambient - 1)
    b = (ambient - 1) / (2 * concentration + root)
    b_slope = -2 * b / root
    one_minus_cosine = 1 - cosine
    e = one_minus_cosine / (2 * b + (1 - b) * one_minus_cosine)
    return -2 * e * (1 - e) / (1 - (1 - b) * e) ** 2 * b_slope


def estimate(
    family: type[RotationallySymmetric],
    ambient: int,
    concentration: float,
    samples: int,
) -> Gradients:
    loc = torch.zeros(ambient, dtype=torch.float64)
    loc[0] = 1
    parts, uncorrected = [], []
    for _ in range(samples // CHUNK):
        k = torch.full((CHUNK,), concentration, dtype=torch.float64, requires_grad=True)
        cosine = family(loc, k, validate_args=False).rsample()[:, 0]
        (each,) = torch.autograd.grad(cosine.sum(), k)
        parts.append(each)
        uncorrected.append(uncorrected_slope(cosine.detach(), concentration, ambient))
    slopes = torch.cat(parts)
    # For p = 3 the usual sampler inverts the distribution function: there is nothing to correct.
    rejects = family is VonMisesFisher and ambient != 3
    return Gradients(
        exact_slope(family, loc, concentration),
        slopes.mean().item(),
        slopes.std().item() / math.sqrt(len(slopes)),
        torch.cat(uncorrected).mean().item() if rejects else None,
    )


def main() -> None:
    reduced = arguments(__doc__).reduced
    torch.manual_seed(0)
    samples = FEWER_SAMPLES if reduced else SAMPLES
    largest_error = LARGEST_ERROR * math.sqrt(SAMPLES / samples)
    rows, broken = [], []
    for family in (VonMisesFisher, PowerSpherical, SphericalCauchy):
        for ambient in FEWER_AMBIENTS if reduced else AMBIENTS:
            for concentration in FEWER_CONCENTRATIONS if reduced else CONCENTRATIONS:
                found = estimate(family, ambient, concentration, samples)
                errors = (found.mean - found.exact) / found.standard_error
                relative = found.standard_error / found.exact
                bias = "-"
                if found.uncorrected is not None:
                    bias = f"{100 * (found.uncorrected / found.exact - 1):+.1f}%"
                cell = f"{family.__name__}, p = {ambient}, k = {concentration:g}"
                if not abs(errors) <= SIGMAS:
                    broken.append(f"{cell}: {errors:+.1f} standard errors off")
                if found.exact > SMALLEST_SLOPE and not relative <= largest_error:
                    broken.append(f"{cell}: a standard error of {relative:.1%}")
                rows.append(
                    [
                        family.__name__,
                        ambient,
                        f"{concentration:g}",
                        f"{found.exact:.6g}",
                        f"{found.mean:.6g}",
                        f"{errors:+.1f}",
                        f"{relative:.2%}",
                        bias,
                    ]
                )
    header = ["family", "p", "k", "exact", "mean", "off, SE", "SE", "uncorrected: bias"]
    print(f"{samples:,} samples a row\n")
    print_table(header, rows)
    finish(broken)


if __name__ == "__main__":
    main()
