"""The maximum-likelihood parameters of a spherical Cauchy distribution.

The parameters are the points psi of the ball of radius 1, and minus the mean log-likelihood over m
is the mean of log(|x - psi|^2 / (1 - |psi|^2)). It is convex along the geodesics of hyperbolic
space. Its minimum is the conformal barycentre of the points x: the Moebius map that carries psi to
the centre carries them to points whose mean is 0. Newton steps, each from the centre, find it
(Cantarella and Schumacher, *Computing the Conformal Barycenter*, 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sxvae.distributions.sampling.moebius import dilate

_STEPS = 100
# The longest step; with it the concentration grows by a factor of 3,000 at most.
_LONGEST = 2.0
# Newton steps this short are taken unseen: they change the objective by less than rounding does.
_SHORT = 1e-5
# How often a step that does not lower the objective is halved.
_HALVINGS = 12
# At a mean this short the next step would change nothing.
_CONVERGED = 1e-14
# Added to the second derivatives, which are singular if all points coincide.
_RIDGE = 1e-14


def best_parameters(points: Tensor) -> tuple[Tensor, Tensor]:
    """The mean direction (p,) and the concentration () of the largest likelihood.

    Args:
        points: unit vectors, float64, shape (n, p).

    Raises:
        ValueError: if half or more of the points coincide.
    """
    _, counts = torch.unique(points, dim=0, return_counts=True)
    if 2 * int(counts.max()) >= len(points):
        raise ValueError(
            "half or more of the vectors coincide, so the likelihood has no single maximum"
        )
    loc, scaled = torch.zeros_like(points[0]), points.new_zeros(())
    loc[0] = 1
    for _ in range(_STEPS):
        centred = dilate(points, -loc, scaled)
        step = _step(centred)
        if step is None:
            break
        loc, scaled = _moved(loc, scaled, step)
    return loc, scaled * (points.shape[-1] - 1)


def _objective(points: Tensor, psi: Tensor) -> Tensor:
    return ((points - psi).square().sum(dim=-1) / (1 - psi.square().sum())).log().mean()


def _step(points: Tensor) -> Tensor | None:
    """A point of the ball with a lower objective than the centre; None if there is none."""
    mean = points.mean(dim=0)
    if mean.norm() <= _CONVERGED:
        return None
    second = (1 + _RIDGE) * torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
    second -= points.mT @ points / len(points)
    newton = torch.linalg.solve(second, mean) / 2
    length = newton.norm()
    direction, length = newton / length, length.clamp_max(_LONGEST)
    for _ in range(_HALVINGS):
        psi: Tensor = direction * torch.tanh(length)
        if length < _SHORT or _objective(points, psi) < 0:  # at the centre it is 0
            return psi
        length = length / 2
    return None


def _moved(loc: Tensor, scaled: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """The image of `step` under the Moebius map that carries the centre to the parameters."""
    stretch = torch.sqrt(1 + 2 * scaled)
    psi, complement = loc * (stretch - 1) / (stretch + 1), 4 * stretch / (stretch + 1) ** 2
    inner, square = psi @ step, step.square().sum()
    divisor = 1 + 2 * inner + psi.square().sum() * square
    moved = ((1 + 2 * inner + square) * psi + complement * step) / divisor
    radius = moved.norm()
    one_minus = complement * (1 - square) / divisor / (1 + radius)  # 1 - radius
    return moved / radius, 2 * radius / one_minus**2
