"""The derivative of a sample's angle by the concentration, against mpmath's integrals."""

from __future__ import annotations

import functools
import math

import mpmath
import pytest
import torch
from torch import Tensor

from sxvae.distributions import PowerSpherical, VonMisesFisher, exponential_family
from sxvae.distributions.sampling import compiled
from sxvae.distributions.sampling.cosines import Cosines

FAMILIES = [VonMisesFisher, PowerSpherical]
AMBIENTS = [2, 3, 4, 5, 10, 41, 1_000]
CONCENTRATIONS = [0.0, 1e-3, 1.0, 10.0, 1e3, 1e6]
# The samples' distances from the mode, in standard deviations, roughly.
POSITIONS = [-3.5, -1.5, 0.2, 1.5, 3.5]
# The quadratures' stated errors.
TOLERANCES = {torch.float64: 2e-7, torch.float32: 1e-5}

Family = type[VonMisesFisher] | type[PowerSpherical]


def _mode_and_scale(family: Family, ambient: int, k: float) -> tuple[float, float]:
    """Roughly the mode and the scale of the angle to the mean direction."""
    # For small angles a, the power spherical's 2 log cos(a/2) is half of cos(a) - 1.
    concentration = k if family is VonMisesFisher else k / 2
    mode = math.atan2(math.sqrt(max(ambient - 2, 0)), math.sqrt(concentration + 1e-9))
    return mode, math.sqrt(1 / (concentration + ambient / 2))


def _cosines(family: Family, ambient: int, concentration: float) -> Cosines:
    mode, scale = _mode_and_scale(family, ambient, concentration)
    angles = [min(abs(mode + position * scale), math.pi - 0.02) for position in POSITIONS]
    half = torch.tensor(angles, dtype=torch.float64) / 2
    return Cosines(2 * torch.sin(half) ** 2, 2 * torch.cos(half) ** 2)


@functools.cache
def _exact(family: Family, ambient: int, concentration: float) -> Tensor:
    """-(dF/dk) / f for the distribution function F of 1 - t, by integrals over the angle."""
    k = mpmath.mpf(concentration)

    def statistic(angle: mpmath.mpf) -> mpmath.mpf:
        if family is VonMisesFisher:
            return -2 * mpmath.sin(angle / 2) ** 2
        return 2 * mpmath.log(mpmath.cos(angle / 2))

    def log_density(angle: mpmath.mpf) -> mpmath.mpf:
        return k * statistic(angle) + (ambient - 2) * mpmath.log(mpmath.sin(angle))

    results = []
    with mpmath.workdps(25):
        mode, scale = _mode_and_scale(family, ambient, concentration)
        marks = sorted({0.0, *(mode + s * scale for s in (-9, -6, -3, 0, 3, 6, 9, 14, 20))})
        marks = [mark for mark in marks if 0 <= mark < math.pi] + [mpmath.pi]
        at_mode = log_density(mpmath.mpf(max(mode, 1e-3 * scale)))

        def density(angle: mpmath.mpf) -> mpmath.mpf:
            return mpmath.exp(log_density(angle) - at_mode) if 0 < angle < mpmath.pi else 0

        total = mpmath.quad(density, marks)
        mean = mpmath.quad(lambda a: statistic(a) * density(a), marks) / total
        for one_minus in _cosines(family, ambient, concentration).one_minus.tolist():
            angle = 2 * mpmath.asin(mpmath.sqrt(mpmath.mpf(one_minus) / 2))
            below = [mark for mark in marks if mark < angle] + [angle]
            above = [angle] + [mark for mark in marks if mark > angle]
            if statistic(angle) > mean:
                integral = mpmath.quad(lambda a: (statistic(a) - mean) * density(a), below)
            else:
                integral = -mpmath.quad(lambda a: (statistic(a) - mean) * density(a), above)
            results.append(float(-integral * mpmath.sin(angle) / density(angle)))
    return torch.tensor(results, dtype=torch.float64)


def _by_torch(family: Family, ambient: int, concentration: float, dtype: torch.dtype) -> Tensor:
    cosines = _cosines(family, ambient, concentration)
    k = torch.full_like(cosines.one_minus, concentration)
    pole = torch.zeros(len(k), ambient, dtype=torch.float64)
    pole[:, 0] = 1
    q = family(pole, k)
    return q._cosine_derivative(
        cosines, k, exponential_family.partition_table(family, ambient)(k).mean_minus_s, dtype
    )


def _compiled(family: Family, ambient: int, concentration: float, dtype: torch.dtype) -> Tensor:
    """At the pole, for the function whose gradient is -1 along the pole: its own is dy/dk."""
    cosines = _cosines(family, ambient, concentration)
    loc = torch.zeros(len(cosines.one_minus), ambient, dtype=dtype)
    loc[:, 0] = 1
    k = torch.full_like(cosines.one_minus, concentration).to(dtype)
    q = family(loc, k)
    direction = torch.zeros(len(loc), ambient - 1, dtype=dtype)
    direction[:, 0] = 1
    _, by_k = compiled._differentiate(q._compiled_family(), -loc, loc, k, *cosines, direction)
    return by_k.double()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ambient", AMBIENTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_derivatives_of_samples(family: Family, ambient: int, dtype: torch.dtype) -> None:
    for concentration in CONCENTRATIONS:
        expected = _exact(family, ambient, concentration)
        for derivative in (_by_torch, _compiled):
            in_double = ambient in (2, 1_000) or family is PowerSpherical
            in_type = torch.float64 if in_double else dtype
            found = derivative(family, ambient, concentration, in_type)
            torch.testing.assert_close(found, expected, rtol=TOLERANCES[dtype], atol=1e-30)
