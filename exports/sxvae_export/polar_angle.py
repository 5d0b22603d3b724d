"""The angle between a mean direction and a draw, by inverting its tabulated distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sxvae_runtime.factors import Factor

# The distribution function is tabulated on so many cells ...
_CELLS = 256
# ... of a window that goes so many standard deviations to both sides of the mode. What is outside
# has a probability of 1e-8 at most, less than the steps of a uniform float32.
_REACH = 10.0
# The two places in a cell, as parts of it, whose densities give the integral of a cubic exactly.
_GAUSS_NODES = (0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12))
# Numbers in the code reach the graph as float32, in which smaller ones are 0.
TINY = 1e-30


class PolarAngle(nn.Module):
    """Draws of the polar angle t on each of several spheres, from uniform noise.

    Its density is exp(k cos t) sin(t)^(p-2) for von Mises-Fisher and (1 + cos t)^k sin(t)^(p-2) for
    power spherical distributions, up to constants. With s and c the sine and cosine of t / 2 both
    are s^A c^B exp(-C s^2), where A = p - 2, and B = A, C = 2k for the first and B = A + 2k, C = 0
    for the second.

    In a cell of the table the density is taken as linear, which makes the distribution function a
    quadratic that is inverted exactly. A cell's probability comes from two Gauss nodes, so that the
    errors of the tabulated values are of fourth order; that of the function is at most 1.1e-5, on
    circles, and 2e-6 elsewhere.

    Args:
        spheres: the factors, each a sphere.
    """

    rim: Tensor
    von_mises_fisher: Tensor

    def __init__(self, spheres: Sequence[Factor]) -> None:
        super().__init__()
        rim = [float(sphere.ambient - 2) for sphere in spheres]
        von_mises_fisher = [float(sphere.family == "vmf") for sphere in spheres]
        for name, values in (("rim", rim), ("von_mises_fisher", von_mises_fisher)):
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
            self.rim[:, None],
            (self.rim + 2 * k * (1 - self.von_mises_fisher))[..., None],
            (2 * k * self.von_mises_fisher)[..., None],
        )
        low, high = _window(*exponents)
        width = (high - low) / _CELLS
        cells = torch.arange(_CELLS, dtype=torch.float64, device=k.device)
        first, second = (
            _log_density(*exponents, low + (cells + node) * width) for node in _GAUSS_NODES
        )
        peak = torch.maximum(first, second).amax(dim=-1, keepdim=True)
        cell, part = _invert((first - peak).exp(), (second - peak).exp(), target)
        return (low + (cell + part) * width).squeeze(-1)


def _log_density(a: Tensor, b: Tensor, c: Tensor, angle: Tensor) -> Tensor:
    """Up to a constant, for angles strictly between 0 and pi."""
    square = (angle / 2).sin().square()
    return (a * square.log() + b * (1 - square).log()) / 2 - c * square


def _window(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Angles between which all but 1e-8 of the probability lies, by the curvature at the mode."""
    total = a + b + 2 * c
    root = (total * total - 8 * a * c).sqrt()
    square = 2 * a / (total + root).clamp(min=TINY)  # s^2 at the mode
    curvature = (a / square.clamp(min=TINY) + b / (1 - square) + 2 * c * (1 - 2 * square)) / 4
    # onnxruntime has no arc sine of a float64, and here a float32 is enough.
    mode = 2 * square.sqrt().float().asin().double()
    reach = _REACH / curvature.clamp(min=1).sqrt()  # from pi on, more makes no difference
    return (mode - reach).clamp(min=0), (mode + reach).clamp(max=math.pi)


def _invert(first: Tensor, second: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The cell that a uniform number leads to, and where in it, from 0 to 1.

    Args:
        first: the density at the first node of each cell, shape (..., cells).
        second: at the second one.
        uniform: shape (..., 1).
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
    part = 2 * here / (1 - slope + root).clamp(min=TINY)
    return cell, part.clamp(max=1)
