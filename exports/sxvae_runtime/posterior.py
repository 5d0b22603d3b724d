"""The posterior q(z given x): its parameters, and draws from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime import inputs, sampling
from sxvae_runtime.errors import InputError
from sxvae_runtime.factors import Layout
from sxvae_runtime.inputs import LatentCheck


class Posterior(NamedTuple):
    """q(z given x) for n images.

    Attributes:
        mean_direction: the spheres' mean directions and the Euclidean factors' means, side by side
            in the factors' order, shape (n, ambient).
        concentration: one number a sphere, shape (n, spheres).
        scale: of the Euclidean factors side by side, shape (n, s): one standard deviation for
            "single" and m for "diagonal" covariance, the rows of the Cholesky factor (m * m) for
            "full"; None where there are no Euclidean factors.
    """

    mean_direction: NDArray[np.float32]
    concentration: NDArray[np.float32]
    scale: NDArray[np.float32] | None = None


class _SphereGroup(NamedTuple):
    """The spheres of one family and dimension, which are sampled together.

    Attributes:
        family: their posteriors'.
        indices: their indices among the spheres, shape (spheres,).
        columns: their coordinates in a latent vector, shape (spheres, ambient).
    """

    family: str
    indices: NDArray[np.intp]
    columns: NDArray[np.intp]


class PosteriorSampler:
    """Draws from the posteriors of one model.

    Args:
        layout: the model's.
        latent: the check of its latent vectors.
    """

    def __init__(self, layout: Layout, latent: LatentCheck) -> None:
        self._layout = layout
        self._latent = latent
        self._sphere_groups = _sphere_groups(layout)

    def draw(self, q: Posterior, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Latent vectors, shape (samples, n, ambient).

        Raises:
            InputError: if `q` has another shape, or a value is out of range.
        """
        q = self._checked(q)
        z = np.empty((samples, *q.mean_direction.shape), dtype=np.float32)
        self._draw_on_spheres(z, q, rng)
        if q.scale is not None:
            self._draw_on_euclidean_factors(z, q.mean_direction, q.scale, rng)
        return z

    def _checked(self, q: Posterior) -> Posterior:
        """`q` as arrays of the right shapes; the samplers check the values of the scales."""
        q = Posterior(*q)
        loc = self._latent(q.mean_direction, "mean_direction", 2)
        n, spheres, scales = len(loc), len(self._layout.spheres), self._layout.scales
        concentration = inputs.parameters(q.concentration, "concentration", (n, spheres))
        if q.scale is None and scales == 0:
            return Posterior(loc, concentration, None)
        if q.scale is None:
            raise InputError(f"the posterior has no scale; one of shape {(n, scales)} is needed")
        return Posterior(loc, concentration, inputs.parameters(q.scale, "scale", (n, scales)))

    def _draw_on_spheres(
        self, z: NDArray[np.float32], q: Posterior, rng: np.random.Generator
    ) -> None:
        """Fill in the spheres' coordinates."""
        for family, indices, columns in self._sphere_groups:
            concentration = q.concentration[None, :, indices].repeat(len(z), axis=0)
            loc = q.mean_direction[:, columns]
            z[..., columns] = sampling.sample(family, loc, concentration, rng)

    def _draw_on_euclidean_factors(
        self,
        z: NDArray[np.float32],
        loc: NDArray[np.float32],
        scales: NDArray[Any],
        rng: np.random.Generator,
    ) -> None:
        """Fill in the Euclidean coordinates."""
        for index, part in enumerate(self._layout.scale_slices):
            factor = self._layout.factors[index]
            if factor.covariance is None:
                continue
            scale = inputs.normal_scale(scales[:, part], index, factor)
            means = loc[:, factor.slice]
            drawn = sampling.sample_normal(means, scale, factor.covariance, len(z), rng)
            z[..., factor.slice] = drawn


def _sphere_groups(layout: Layout) -> list[_SphereGroup]:
    """One group for each family and dimension, in the order of their first factors."""
    groups = []
    for (family, _), indices in layout.groups.items():
        factors = [layout.factors[index] for index in indices]
        if factors[0].is_sphere:
            starts = [layout.concentration_slices[index].start for index in indices]
            columns = np.add.outer(
                [factor.offset for factor in factors], np.arange(factors[0].ambient)
            )
            groups.append(_SphereGroup(family, np.array(starts), columns))
    return groups
