"""The angle between a mean direction and a sample, by inverting its tabulated distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sxvae_runtime.factors import Factor

# The number of cells on which the distribution function is tabulated.
_CELLS = 256
# The table reaches this many standard deviations to both sides of the mode. The probability outside
# is 1e-8 at most, less than the steps of a uniform float32.
_REACH = 10.0
# The two points of a cell, as fractions of its width, at which Gauss' rule integrates a cubic
# exactly.
_GAUSS_NODES = (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12))
# Constants in the code become float32 in the graph, where much smaller ones would be 0.
TINY = 1e-30


class Exponents(NamedTuple):
    """How an exponential family's density of the polar angle t depends on the concentration k.

    With s and c the sine and cosine of t / 2, the uniform distribution on the unit sphere of R^p
    has a density of t proportional to (s c)^(p-2). A family multiplies it by
    c^(cosine k) exp(-rate k s^2).

    Attributes:
        cosine: the power of c for each unit of concentration.
        rate: the factor of -s^2 in the exponent for each unit of concentration.
    """

    cosine: float
    rate: float


class Dilation(NamedTuple):
    """How a family's samples come from uniform directions: tan(t / 2) is divided by a number.

    It is sqrt(1 + rate k / (p-1)) on the unit sphere of R^p; the angle around the mean direction
    stays.

    Attributes:
        rate: as above.
    """

    rate: float


POLAR_ANGLES: dict[str, Exponents | Dilation] = {
    "vmf": Exponents(cosine=0.0, rate=2.0),  # exp(k cos t)
    "power-spherical": Exponents(cosine=2.0, rate=0.0),  # (1 + cos t)^k
    "spherical-cauchy": Dilation(rate=2.0),  # (1 + k / (p-1) (1 - cos t))^(1-p)
}


def exponents_of(sphere: Factor) -> Exponents:
    """Those of a sphere's family, which must have some."""
    exponents = POLAR_ANGLES[sphere.family]
    assert isinstance(exponents, Exponents)
    return exponents


class PolarAngle(nn.Module):
    """Samples of the polar angle t on each of several spheres, from uniform noise.

    Up to a constant the density of t is s^A c^B exp(-C s^2), where s and c are the sine and cosine
    of t / 2, A = p - 2, and B - A and C are the concentration times the family's `Exponents`.

    In each cell of the table the density is taken as linear, so that the distribution function is a
    quadratic that is inverted exactly. A cell's probability comes from two Gauss nodes: the
    tabulated probabilities have errors of fourth order in the cell's width. The distribution
    function is within 1.1e-5 of the exact one on circles, and within 2e-6 elsewhere.

    Args:
        spheres: the factors, each a sphere whose family has `Exponents`.
    """

    sine_power: Tensor
    cosine_power: Tensor
    rate: Tensor

    def __init__(self, spheres: Sequence[Factor]) -> None:
        super().__init__()
        exponents = [exponents_of(sphere) for sphere in spheres]
        constants = {
            "sine_power": [float(sphere.ambient - 2) for sphere in spheres],
            "cosine_power": [each.cosine for each in exponents],
            "rate": [each.rate for each in exponents],
        }
        for name, values in constants.items():
            tensor = torch.tensor(values, dtype=torch.float64)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, concentration: Tensor, uniform: Tensor) -> Tensor:
        """Angles, float64, shape (batch, spheres).

        Args:
            concentration: k >= 0, shape (batch, spheres).
            uniform: numbers in [0, 1], shape (batch, spheres).
        """
        k, target = concentration.double(), uniform.double()[..., None]
        exponents = (
            self.sine_power[:, None],
            (self.sine_power + k * self.cosine_power)[..., None],
            (k * self.rate)[..., None],
        )
        low, high = _window(*exponents)
        width = (high - low) / _CELLS
        cells = torch.arange(_CELLS, dtype=torch.float64, device=k.device)
        first, second = (
            _log_density(*exponents, low + (cells + node) * width) for node in _GAUSS_NODES
        )
        peak = torch.maximum(first, second).amax(dim=-1, keepdim=True)
        cell, fraction = _invert((first - peak).exp(), (second - peak).exp(), target)
        return (low + (cell + fraction) * width).squeeze(-1)


def _log_density(a: Tensor, b: Tensor, c: Tensor, angle: Tensor) -> Tensor:
    """The log-density up to a constant, for angles strictly between 0 and pi."""
    square = (angle / 2).sin().square()
    return (a * square.log() + b * (1 - square).log()) / 2 - c * square


def _window(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Two angles between which all but 1e-8 of the probability lies.

    Both are the same multiple of the standard deviation away from the mode, which follows from the
    log-density's curvature there.
    """
    total = a + b + 2 * c
    root = (total * total - 8 * a * c).sqrt()
    square = 2 * a / (total + root).clamp(min=TINY)  # s^2 at the mode
    curvature = (a / square.clamp(min=TINY) + b / (1 - square) + 2 * c * (1 - 2 * square)) / 4
    # onnxruntime has no arc sine for float64, and float32 is accurate enough here.
    mode = 2 * square.sqrt().float().asin().double()
    reach = _REACH / curvature.clamp(min=1).sqrt()  # at least pi for a curvature below 1
    return (mode - reach).clamp(min=0), (mode + reach).clamp(max=math.pi)


def _invert(first: Tensor, second: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse distribution function: a cell's index and the fraction of its width, 0 to 1.

    Args:
        first: the density at the first node of each cell, shape (..., cells).
        second: the density at the second node.
        uniform: the distribution function's value, shape (..., 1).
    """
    masses = first + second
    reached = masses.cumsum(dim=-1)
    target = uniform * reached[..., -1:]
    cell = (reached < target).sum(dim=-1, keepdim=True).clamp(max=_CELLS - 1)
    mass = masses.gather(-1, cell)
    here = ((target - reached.gather(-1, cell)) / mass.clamp(min=TINY) + 1).clamp(0, 1)
    # With x from 0 to 1 the density in the cell is 1 + slope (2x - 1), never below 0.
    rise = second.gather(-1, cell) - first.gather(-1, cell)
    slope = (math.sqrt(3) * rise / mass.clamp(min=TINY)).clamp(-1, 1)
    root = ((1 - slope).square() + 4 * slope * here).clamp(min=0).sqrt()
    fraction = 2 * here / (1 - slope + root).clamp(min=TINY)
    return cell, fraction.clamp(max=1)
