"""Whether samples follow their distribution: `python -m benchmarks.samplers`.

For all spherical families, over p up to 5,000 and k up to 1e6, tests with fixed seeds: a
Kolmogorov-Smirnov test of the angle to the mean direction against its exact distribution function,
the mean of <loc, x> and of its square, and the mean and the second moment along a fixed axis that
is orthogonal to the mean direction. The moments of spherical Cauchy samples would be those of a few
rare ones; their angles are first turned into those of uniform directions. The false-alarm rate of
all tests together is 1e-3 (Bonferroni). Exits with 1 if a test rejects.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.report import arguments, finish, print_table
from sxvae.distributions import PowerSpherical, SphericalCauchy, VonMisesFisher
from sxvae.distributions.special.bessel import bessel_terms

AMBIENTS = [2, 3, 4, 5, 10, 50, 500, 5_000]
CONCENTRATIONS = [0.0, 0.5, 10.0, 1e3, 1e6]
SAMPLES, FEWER_SAMPLES = 100_000, 10_000
FEWER_AMBIENTS, FEWER_CONCENTRATIONS = [2, 3, 10, 5_000], [0.0, 10.0, 1e6]
FALSE_ALARMS = 1e-3
_CHUNK_ENTRIES = 5_000_000

Family = type[VonMisesFisher] | type[PowerSpherical] | type[SphericalCauchy]


class Projections(NamedTuple):
    """For each sample x: 1 - <loc, x>, and its component along an axis orthogonal to loc."""

    one_minus_cosine: Tensor
    across: Tensor


def directions(ambient: int) -> tuple[Tensor, Tensor]:
    """A mean direction that is no coordinate axis, and a unit vector orthogonal to it."""
    loc = torch.linspace(-1, 2, ambient, dtype=torch.float64)
    loc = loc / loc.norm()
    across = torch.zeros_like(loc)
    across[0] = 1
    across = across - loc[0] * loc
    return loc, across / across.norm()


def draw(family: Family, ambient: int, concentration: float, samples: int) -> Projections:
    loc, axis = directions(ambient)
    parts = []
    at_once = max(1, _CHUNK_ENTRIES // ambient)
    for start in range(0, samples, at_once):
        k = torch.full((min(at_once, samples - start),), concentration, dtype=torch.float64)
        x = family(loc, k).sample()
        # |x - loc|^2 / 2 is 1 - <loc, x>, but keeps its digits where the angle is small.
        parts.append(((x - loc).square().sum(dim=-1) / 2, x @ axis))
    one_minus_cosines, across = zip(*parts, strict=True)
    drawn = Projections(torch.cat(one_minus_cosines), torch.cat(across))
    return undilated(drawn, ambient, concentration) if family is SphericalCauchy else drawn


def undilated(drawn: Projections, ambient: int, concentration: float) -> Projections:
    """Samples moved away from the mean direction: tan(angle / 2) times sqrt(1 + 2k / (p-1))."""
    growth = 1 + 2 * concentration / (ambient - 1)
    half_angle = torch.asin((drawn.one_minus_cosine / 2).sqrt().clamp(max=1))
    moved = torch.atan(half_angle.tan() * math.sqrt(growth))
    across = drawn.across * (2 * moved).sin() / (2 * half_angle).sin()
    return Projections(2 * moved.sin().square(), across)


def exact_cdf(
    family: Family, ambient: int, concentration: float, one_minus_cosine: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(1 - t <= one_minus_cosine)."""
    half = (ambient - 1) / 2
    if family is SphericalCauchy:  # they are uniform directions now
        family, concentration = PowerSpherical, 0.0
    if family is PowerSpherical:
        cdf: NDArray[np.float64] = scipy.special.betainc(
            half, half + concentration, one_minus_cosine / 2
        )
        return cdf

    def log_density(angle: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            sine = (ambient - 2) * np.log(np.sin(angle)) if ambient > 2 else 0.0
        return -2 * concentration * np.sin(angle / 2) ** 2 + sine

    angles = np.linspace(0, np.pi, 400_001)
    inside = angles[log_density(angles) > log_density(angles).max() - 45]
    angles = np.linspace(max(0, inside[0] - 1e-5), min(np.pi, inside[-1] + 1e-5), 400_001)
    density = np.exp(log_density(angles) - log_density(angles).max())
    total = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    at = 2 * np.arcsin(np.sqrt(np.clip(one_minus_cosine / 2, 0, 1)))
    return np.asarray(np.interp(at, angles, total / total[-1]))


def exact_moments(family: Family, ambient: int, concentration: float) -> tuple[float, float]:
    """E[1 - t] and E[1 - t^2] / (p - 1)."""
    if family is SphericalCauchy:
        return 1.0, 1 / ambient
    if family is PowerSpherical:
        half = (ambient - 1) / 2
        total = 2 * half + concentration
        return 2 * half / total, 2 * (half + concentration) / (total * (total + 1))
    terms = bessel_terms(ambient / 2 - 1, torch.tensor(concentration, dtype=torch.float64))
    return terms.complement.item(), terms.ratio_over_x.item()


def mean_p_value(values: Tensor, expected: float) -> float:
    """The p-value of a z test that the values have the expected mean."""
    standard_error = values.std().item() / math.sqrt(len(values))
    return 2 * float(scipy.stats.norm.sf(abs(values.mean().item() - expected) / standard_error))


def p_values(family: Family, ambient: int, concentration: float, samples: int) -> dict[str, float]:
    one_minus_cosine, across = draw(family, ambient, concentration, samples)
    cdf = exact_cdf(family, ambient, concentration, one_minus_cosine.numpy())
    mean_one_minus_cosine, spread = exact_moments(family, ambient, concentration)
    return {
        "distribution": float(scipy.stats.kstest(cdf, "uniform").pvalue),
        "mean": mean_p_value(one_minus_cosine, mean_one_minus_cosine),
        "second moment": mean_p_value(
            one_minus_cosine * (2 - one_minus_cosine), (ambient - 1) * spread
        ),
        "mean across": mean_p_value(across, 0.0),
        "second moment across": mean_p_value(across**2, spread),
    }


def main() -> None:
    reduced = arguments(__doc__).reduced
    torch.manual_seed(0)
    samples = FEWER_SAMPLES if reduced else SAMPLES
    cells = [
        (family, ambient, concentration)
        for family in (VonMisesFisher, PowerSpherical, SphericalCauchy)
        for ambient in (FEWER_AMBIENTS if reduced else AMBIENTS)
        for concentration in (FEWER_CONCENTRATIONS if reduced else CONCENTRATIONS)
    ]
    results = {cell: p_values(*cell, samples) for cell in cells}
    tests = sum(map(len, results.values()))
    smallest = FALSE_ALARMS / tests
    print(f"{samples:,} samples a row; a test rejects below {smallest:.1e}\n")
    rows, broken = [], []
    for (family, ambient, concentration), values in results.items():
        rows.append(
            [family.__name__, ambient, f"{concentration:g}", *(f"{v:.2g}" for v in values.values())]
        )
        broken += [
            f"{family.__name__}, p = {ambient}, k = {concentration:g}: {name}, p-value {value:.1e}"
            for name, value in values.items()
            if not value >= smallest
        ]
    print_table(["family", "p", "k", *next(iter(results.values()))], rows)
    finish(broken)


if __name__ == "__main__":
    main()
