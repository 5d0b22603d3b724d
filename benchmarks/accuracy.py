"""How accurate the distributions are: `python -m benchmarks.accuracy`.

Compares Bessel functions and all families' densities, moments, KLs and gradients with mpmath in 50
digits, on a grid of dimensions up to 100,000 and concentrations from 1e-6 to 1e8, in float64 and
float32, and prints the worst error of each with the (p, k) where it is. Exits with 1 if a bound is
broken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import mpmath
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from benchmarks import reference
from benchmarks.report import arguments, finish, print_table
from benchmarks.spherical_cauchy_reference import kl_between_spherical_cauchy, spherical_cauchy
from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)
from sxvae.distributions.rotational import RotationallySymmetric
from sxvae.distributions.special.bessel import (
    bessel_ratio,
    bessel_ratio_complement,
    log_bessel_i,
    log_bessel_ive,
)

AMBIENTS = [2, 3, 4, 5, 10, 11, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000, 100_000]
CONCENTRATIONS = [1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e6, 1e8]
PAIR_CONCENTRATIONS = [3.0, 10.5, 100.0, 1e3, 1e5]
ONE_MINUS_COSINES = [0.0, 1e-6, 0.3, 1.9]
FEWER_AMBIENTS = [2, 3, 11, 100, 5_000, 100_000]
FEWER_CONCENTRATIONS = [1e-6, 0.1, 10.0, 1e3, 1e8]
NAMES: dict[type[RotationallySymmetric], str] = {
    VonMisesFisher: "vMF",
    PowerSpherical: "power spherical",
    SphericalCauchy: "spherical Cauchy",
}
LARGEST_DIFFERENCE = 1e-30  # between the references
# A float32 result is the float64 one rounded: half a unit in the last place.
ROUNDED = 1.01 * 2.0**-24


class Error(NamedTuple):
    """A relative error, its bound for float64, and the (p, k) at which it occurred."""

    quantity: str
    bound: float
    error: float
    where: tuple[int, float]


def _gradient(value: Tensor, variable: Tensor) -> Tensor:
    return torch.autograd.grad(value, variable, retain_graph=True)[0]


def _relative(found: Tensor, expected: reference.Number, scale: float = 0.0) -> float:
    """The error over the expected value, or over `scale` if that is larger."""
    error = abs(mpmath.mpf(found.item()) - expected) / max(abs(expected), scale)
    return float(error) if math.isfinite(found.item()) else math.inf


def bessel_errors(ambient: int, k: Tensor) -> Iterator[Error]:
    order, x, where = ambient / 2 - 1, mpmath.mpf(k.item()), (ambient, k.item())
    log_i = reference.log_bessel_i(order, x)
    ratio = mpmath.exp(reference.log_bessel_i(order + 1, x) - log_i)
    largest = max(1.0, float(x), abs(float(order * mpmath.log(x / 2))), math.lgamma(order + 1))
    slope = 1 - ratio**2 - (2 * order + 1) * ratio / x
    second = -2 * ratio * slope - (2 * order + 1) * (slope / x - ratio / x**2)

    found = log_bessel_i(order, k)
    yield Error("log I_v, of its largest term", 1e-12, _relative(found, log_i, largest), where)
    yield Error("its derivative", 1e-9, _relative(_gradient(found, k), ratio + order / x), where)
    found = log_bessel_ive(order, k)
    yield Error("log(e^-x I_v), or absolutely", 1e-12, _relative(found, log_i - x, 1.0), where)
    slope_error = _relative(_gradient(found, k), ratio + order / x - 1)
    yield Error("the derivative of that", 1e-9, slope_error, where)
    yield Error("1 - A_p", 1e-10, _relative(bessel_ratio_complement(order, k), 1 - ratio), where)
    (found,) = torch.autograd.grad(bessel_ratio(order, k), k, create_graph=True)
    yield Error("second derivative of A_p", 1e-9, _relative(_gradient(found, k), second), where)


def family_errors(
    family: type[RotationallySymmetric],
    exact: Callable[[int, float], reference.Exact],
    ambient: int,
    k: Tensor,
) -> Iterator[Error]:
    name, where = NAMES[family], (ambient, k.item())
    expected = exact(ambient, k.item())
    loc = torch.zeros(ambient, dtype=k.dtype)
    loc[0] = 1
    q = family(loc, k)
    mode, mean, entropy = q.log_prob(loc), q.mean[0], q.entropy()
    kl = kl_divergence(q, HypersphericalUniform(ambient - 1, dtype=k.dtype))
    largest = max(1.0, abs(float(expected.entropy)))
    mode_error = _relative(mode, expected.log_prob_at_mode, 1.0)
    mean_name = "mean length A_p" if family is VonMisesFisher else "mean length"
    for quantity, bound, error in (
        ("log_prob at the mode", 1e-11, mode_error),
        ("its gradient", 1e-9, _relative(_gradient(mode, k), expected.log_prob_at_mode_slope)),
        (mean_name, 1e-10, _relative(mean, expected.mean)),
        (f"gradient of the {mean_name}", 1e-9, _relative(_gradient(mean, k), expected.mean_slope)),
        ("KL to the uniform", 1e-10, _relative(kl, expected.kl)),
        ("gradient of the KL", 1e-9, _relative(_gradient(kl, k), expected.kl_slope)),
        ("entropy", 1e-12, _relative(entropy, expected.entropy, largest)),
        (
            "gradient of the entropy",
            1e-9,
            _relative(_gradient(entropy, k), expected.entropy_slope),
        ),
    ):
        yield Error(f"{name}: {quantity}", bound, error, where)


def pair(ambient: int, one_minus_cosine: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, float]:
    """Two directions with this cosine, and 1 - cosine after rounding."""
    first, second = torch.zeros(2, ambient, dtype=dtype)
    first[0], second[0], second[1] = (
        1,
        1 - one_minus_cosine,
        math.sqrt(one_minus_cosine * (2 - one_minus_cosine)),
    )
    return first, second, (first - second).double().square().sum().item() / 2


def pair_errors(
    ambient: int, concentration: float, dtype: torch.dtype, one_minus_cosines: list[float]
) -> Iterator[Error]:
    """Errors of the KL between two of a family; the second has a small, close or large k."""
    for theirs in (1e-3, 1.001 * concentration, 30 * concentration):
        for one_minus_cosine in one_minus_cosines:
            first, second, exact_one_minus_cosine = pair(ambient, one_minus_cosine, dtype)
            ks = torch.tensor([concentration, theirs], dtype=dtype)
            where, values = (ambient, concentration), (*ks.tolist(), exact_one_minus_cosine)
            found = kl_divergence(VonMisesFisher(first, ks[0]), VonMisesFisher(second, ks[1]))
            expected = reference.kl_between_von_mises_fisher(ambient, *values)
            yield Error("vMF: KL between two", 1e-10, _relative(found, expected), where)
            found = kl_divergence(PowerSpherical(first, ks[0]), PowerSpherical(second, ks[1]))
            expected = reference.kl_between_power_spherical(ambient, *values)
            error = _relative(found, expected, 1.0)
            yield Error("power spherical: KL between two, or absolutely", 1e-8, error, where)
            found = kl_divergence(SphericalCauchy(first, ks[0]), SphericalCauchy(second, ks[1]))
            expected = kl_between_spherical_cauchy(ambient, *values)
            yield Error(
                "spherical Cauchy: KL between two", 1e-10, _relative(found, expected), where
            )


def all_errors(ambient: int, concentration: float, dtype: torch.dtype) -> Iterator[Error]:
    k = torch.tensor(concentration, dtype=dtype, requires_grad=True)
    yield from bessel_errors(ambient, k)
    yield from family_errors(VonMisesFisher, reference.von_mises_fisher, ambient, k)
    yield from family_errors(PowerSpherical, reference.power_spherical, ambient, k)
    yield from family_errors(SphericalCauchy, spherical_cauchy, ambient, k)


def cross_check() -> float:
    """The largest difference of Debye's 40 terms from mpmath's series where both run."""
    cells = ((order, x) for order in (400, 499.5, 999) for x in (1e-6, 1.0, 100.0, 1e4, 1e8))
    return max(
        float(abs(reference.log_bessel_i_debye(*cell) - mpmath.log(mpmath.besseli(*cell))))
        for cell in cells
    )


def keep_worst(
    worst: dict[str, dict[torch.dtype, Error]], dtype: torch.dtype, error: Error
) -> None:
    of_quantity = worst.setdefault(error.quantity, {})
    if dtype not in of_quantity or error.error > of_quantity[dtype].error:
        of_quantity[dtype] = error


def main() -> None:
    reduced = arguments(__doc__).reduced
    mpmath.mp.dps = reference.DIGITS
    difference = cross_check()
    print(f"Debye's 40 terms against mpmath's series: {difference:.1e}\n")
    worst: dict[str, dict[torch.dtype, Error]] = {}
    for dtype in (torch.float64, torch.float32):
        for ambient in FEWER_AMBIENTS if reduced else AMBIENTS:
            for concentration in FEWER_CONCENTRATIONS if reduced else CONCENTRATIONS:
                for error in all_errors(ambient, concentration, dtype):
                    keep_worst(worst, dtype, error)
            for concentration in PAIR_CONCENTRATIONS[-1:] if reduced else PAIR_CONCENTRATIONS:
                for error in pair_errors(
                    ambient,
                    concentration,
                    dtype,
                    ONE_MINUS_COSINES[-2:] if reduced else ONE_MINUS_COSINES,
                ):
                    keep_worst(worst, dtype, error)

    rows, broken = [], []
    if not difference < LARGEST_DIFFERENCE:
        broken.append(f"the references differ by {difference:.1e}")
    for quantity, errors in worst.items():
        row = [quantity, f"{errors[torch.float64].bound:.0e}"]
        for dtype, error in errors.items():
            bound = error.bound + (ROUNDED if dtype == torch.float32 else 0)
            row += [f"{error.error:.1e}", f"{error.where[0]:,}, {error.where[1]:g}"]
            if not error.error <= bound:
                broken.append(f"{quantity}, {dtype}: {error.error:.2e} > {bound:.2e}")
        rows.append(row)
    print_table(["quantity", "bound", "float64", "at p, k", "float32", "at p, k"], rows)
    finish(broken)


if __name__ == "__main__":
    main()
