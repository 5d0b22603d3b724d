"""Sampling z from q(z given x) as a deterministic graph: all randomness comes in as noise inputs.

The random operators of onnxruntime repeat their numbers across nodes and sessions, and no other
host could reproduce them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sxvae.spaces import ProductSpace
from sxvae_export.graphs import Graph
from sxvae_export.half_angles import HalfAngles
from sxvae_export.polar_angle import TINY
from sxvae_runtime.factors import Factor


class SamplerGraph(Graph):
    """One sample z (batch, ambient) of each row's posterior, from the encoder's outputs and noise.

    The inputs are the encoder's outputs: mean_direction (batch, ambient), concentration
    (batch, spheres) and scale (batch, scales); then the noise: `uniform` (batch, spheres), numbers
    in [0, 1], and `normal` (batch, ambient), standard normal numbers. Inputs without entries are
    left out.

    Args:
        space: the latent space.
    """

    outputs = ("z",)

    def __init__(self, space: ProductSpace) -> None:
        super().__init__()
        spheres = len(space.spheres)
        widths = {
            "mean_direction": space.ambient,
            "concentration": spheres,
            "scale": space.scales,
            "uniform": spheres,
            "normal": space.ambient,
        }
        self.widths = {name: width for name, width in widths.items() if width}
        self.inputs = tuple(self.widths)
        self.space = space
        self.sphere_samples = SphereSamples(space) if spheres else None

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """One sample for each row."""
        given = dict(zip(self.inputs, values, strict=True))
        loc, noise = given["mean_direction"], given["normal"]
        if self.sphere_samples is None:
            return (torch.cat(_normal_samples(self.space, loc, given["scale"], noise), dim=-1),)
        drawn = self.sphere_samples(loc, given["concentration"], given["uniform"], noise)
        if not self.space.euclidean:
            return (drawn,)
        widths = [self.space.factors[index].ambient for index in self.space.spheres]
        parts = dict(zip(self.space.spheres, drawn.split(widths, dim=-1), strict=True))
        normals = _normal_samples(self.space, loc, given["scale"], noise)
        parts |= zip(self.space.euclidean, normals, strict=True)
        return (torch.cat([parts[index] for index in sorted(parts)], dim=-1),)


class SphereSamples(nn.Module):
    """Unit vectors cos(t) loc + sin(t) v, with v uniform among the unit vectors orthogonal to loc.

    Computed in float64: where the noise is nearly parallel to `loc`, v would not be orthogonal to
    it in float32. All spheres are sampled at once, so that the graph does not grow with their
    number.

    Args:
        space: the latent space; its Euclidean factors are left out.
    """

    coordinates: Tensor
    owner: Tensor
    members: Tensor

    def __init__(self, space: ProductSpace) -> None:
        super().__init__()
        spheres = [space.factors[index] for index in space.spheres]
        coordinates = [i for s in spheres for i in range(s.offset, s.offset + s.ambient)]
        self.only_spheres = len(coordinates) == space.ambient
        owner = torch.tensor([i for i, s in enumerate(spheres) for _ in range(s.ambient)])
        members = torch.nn.functional.one_hot(owner).double()
        self.register_buffer("coordinates", torch.tensor(coordinates), persistent=False)
        self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("members", members, persistent=False)
        self.half_angles = HalfAngles(spheres)

    def forward(self, loc: Tensor, concentration: Tensor, uniform: Tensor, noise: Tensor) -> Tensor:
        """The spheres' coordinates, side by side.

        Args:
            loc: mean directions, shape (batch, ambient).
            concentration: shape (batch, spheres).
            uniform: the noise that t is computed from, shape (batch, spheres).
            noise: the noise that v is computed from, shape (batch, ambient), and t too where a
                family's samples come from uniform directions.
        """
        pole = self._unit(self._on_spheres(loc))
        tangent = self._on_spheres(noise)
        apart = self._sums((self._unit(tangent) - pole).square()).clamp(max=4) / 4
        square = self._spread(self.half_angles(concentration, uniform, apart))
        for _ in range(2):  # the second time removes what rounding has left along the pole
            tangent = tangent - self._spread(self._sums(tangent * pole)) * pole
        across = 2 * (square * (1 - square)).sqrt()
        drawn = (1 - 2 * square) * pole + across * self._unit(tangent)
        # The norm is 1 already, unless the noise was parallel to the mean direction.
        return self._unit(drawn).float()

    def _on_spheres(self, value: Tensor) -> Tensor:
        value = value.double()
        return value if self.only_spheres else value.index_select(-1, self.coordinates)

    def _sums(self, value: Tensor) -> Tensor:
        """Sums over each sphere's coordinates, (batch, coordinates) to (batch, spheres)."""
        return value @ self.members

    def _spread(self, value: Tensor) -> Tensor:
        """Each sphere's number repeated, (batch, spheres) to (batch, coordinates)."""
        return value.index_select(-1, self.owner)

    def _unit(self, value: Tensor) -> Tensor:
        norms = self._sums(value * value).sqrt().clamp(min=TINY)
        return value / self._spread(norms)


def _normal_samples(
    space: ProductSpace, loc: Tensor, scales: Tensor, noise: Tensor
) -> list[Tensor]:
    """A sample of each Euclidean factor, shape (batch, m)."""
    factors = [space.factors[index] for index in space.euclidean]
    each = scales.split([factor.scales for factor in factors], dim=-1)
    return [
        loc[:, factor.slice] + _scaled(factor, scale, noise[:, factor.slice])
        for factor, scale in zip(factors, each, strict=True)
    ]


def _scaled(factor: Factor, scale: Tensor, noise: Tensor) -> Tensor:
    """The noise (batch, m) times the scale, whose layout `Factor.scales` describes."""
    if factor.covariance != "full":
        return scale * noise
    rows: Tensor = scale.unflatten(-1, (factor.dim, factor.dim))
    return (rows * noise[:, None, :]).sum(dim=-1)
