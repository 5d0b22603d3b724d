"""A trained model in an application: numpy in, numpy out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file

from sxvae_runtime import geometry, inputs, sampling
from sxvae_runtime.errors import BundleError, InputError
from sxvae_runtime.inputs import Seed
from sxvae_runtime.manifest import Factor, Manifest
from sxvae_runtime.network import Network

# What a graph's outputs may differ by on another machine, relative to max(1, |value|).
_GOLDEN_TOLERANCE = 1e-4


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


class _SpheresAlike(NamedTuple):
    """The spheres of one family and dimension, which are sampled together.

    Attributes:
        family: their posteriors'.
        orders: their places among the spheres, shape (spheres,).
        columns: their coordinates in a latent vector, shape (spheres, ambient).
    """

    family: str
    orders: NDArray[np.intp]
    columns: NDArray[np.intp]


class Bundle:
    """An exported model, run by onnxruntime. Make one with `sxvae_runtime.load`.

    Attributes:
        manifest: what the bundle holds.
        path: its folder.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        encoder: onnxruntime.InferenceSession,
        decoder: onnxruntime.InferenceSession,
    ) -> None:
        self.path = path
        self.manifest = manifest
        encoder_graph, decoder_graph = manifest.graphs["encoder"], manifest.graphs["decoder"]
        self._parameters = [name for name in Posterior._fields if name in encoder_graph.outputs]
        self._encoder = Network(encoder, encoder_graph, self._parameters)
        self._decoder = Network(decoder, decoder_graph, ["mean"])
        self._only_spheres = self._parameters == ["mean_direction", "concentration"]
        self._latent = inputs.LatentCheck(manifest)
        self._spheres_alike = _spheres_alike(manifest)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Spheres and Euclidean parts, in the order in which they lie in a latent vector."""
        return self.manifest.factors

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""
        return self.manifest.ambient

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return self.manifest.input_shape

    def encode(self, x: ArrayLike) -> Posterior:
        """The posterior of images.

        Args:
            x: shape (n, C, H, W); uint8 from 0 to 255, or floating point from 0 to 1.

        Raises:
            InputError: if the shape, the type or a value is wrong.
        """
        values = self._encoder.run(inputs.images(x, self.manifest.input_shape))
        if self._only_spheres:
            return Posterior(*values)
        found = dict(zip(self._parameters, values, strict=True))
        if "concentration" not in found:  # there is no sphere
            found["concentration"] = np.empty((len(values[0]), 0), dtype=np.float32)
        return Posterior(**found)

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """The likelihood's mean, shape (n, C, H, W).

        Args:
            z: latent vectors, shape (n, ambient), of norm 1 on each sphere.

        Raises:
            InputError: if the shape, the type or a norm is wrong.
        """
        return self._decoder.run(self._latent(z, "z", 2))[0]

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """Decode the images' mean directions and means, shape (n, C, H, W).

        Raises:
            InputError: if the shape, the type or a value of `x` is wrong.
        """
        return self.decode(self.encode(x).mean_direction)

    def sample_prior(self, n: int, *, seed: Seed = None) -> NDArray[np.float32]:
        """Latent vectors uniform on spheres, standard normal elsewhere, shape (n, ambient).

        Raises:
            InputError: if `n` is below 1.
        """
        rng = inputs.generator(seed)
        inputs.at_least(1, n, "n")
        parts = [
            sampling.uniform_directions((n, factor.ambient), rng)
            if factor.is_sphere
            else rng.standard_normal((n, factor.ambient))
            for factor in self.factors
        ]
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def sample_posterior(
        self, q: Posterior, samples: int = 1, *, seed: Seed = None
    ) -> NDArray[np.float32]:
        """Draw from posteriors, shape (samples, n, ambient).

        Args:
            q: what `encode` returned.
            samples: draws for each image.
            seed: an int, a numpy.random.Generator, or None for fresh chance.

        Raises:
            InputError: if `q` has another shape, or a value is out of range.
        """
        inputs.at_least(1, samples, "samples")
        q = self._posterior(q)
        rng = inputs.generator(seed)
        z = np.empty((samples, *q.mean_direction.shape), dtype=np.float32)
        self._draw_on_spheres(z, q, rng)
        if q.scale is not None:
            self._draw_on_euclidean_factors(z, q.mean_direction, q.scale, rng)
        return z

    def interpolate(
        self, z0: ArrayLike, z1: ArrayLike, steps: int = 10, *, long_way: bool = False
    ) -> NDArray[np.float32]:
        """Walk from one latent vector to another.

        The path is a great circle on each sphere and a straight line on each Euclidean factor.

        Args:
            z0: shape (ambient,).
            z1: shape (ambient,).
            steps: how many points, both ends included.
            long_way: take the longer arc on every sphere instead of the shorter; Euclidean factors
                have no other way.

        Returns:
            Shape (steps, ambient).

        Raises:
            InputError: if a shape or a norm is wrong, or `steps` is below 2.
        """
        inputs.at_least(2, steps, "steps")
        start = self._latent(z0, "z0", 1).astype(np.float64)
        end = self._latent(z1, "z1", 1).astype(np.float64)
        path = np.linspace(start, end, steps)
        for factor in self.factors:
            if factor.is_sphere:
                ends = (part[factor.slice] for part in (start, end))
                first, last = (part / np.linalg.norm(part) for part in ends)
                path[:, factor.slice] = geometry.great_circle(first, last, steps, long_way)
        return path.astype(np.float32)

    def verify(self) -> float:
        """Run the bundle's golden inputs through the graphs.

        Returns:
            The largest difference from the golden outputs, relative to max(1, |value|).

        Raises:
            BundleError: if it is above 1e-4: this host computes something else.
        """
        golden = load_file(self.path / self.manifest.golden)
        try:
            found = {**self.encode(golden["x"])._asdict(), "mean": self.decode(golden["z"])}
            names = [name for graph in self.manifest.graphs.values() for name in graph.outputs]
            pairs = [(golden[name], found[name]) for name in names]
        except (KeyError, InputError) as error:
            raise BundleError(
                f"{self.path / self.manifest.golden} does not fit the graphs: {error}"
            ) from error
        # NaN if any is, unlike the builtin max.
        worst = float(np.max([_difference(expected, value) for expected, value in pairs]))
        if not worst <= _GOLDEN_TOLERANCE:
            raise BundleError(
                f"the graphs in {self.path} give outputs that differ from the golden ones by "
                f"{worst:.2g}: this host's onnxruntime computes something else"
            )
        return worst

    def _posterior(self, q: Posterior) -> Posterior:
        """`q` with everything checked but what the samplers check."""
        q = Posterior(*q)
        loc = self._latent(q.mean_direction, "mean_direction", 2)
        n, spheres, scales = len(loc), len(self.manifest.spheres), self.manifest.scales
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
        for family, orders, columns in self._spheres_alike:
            concentration = q.concentration[None, :, orders].repeat(len(z), axis=0)
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
        start = 0
        for place, factor in enumerate(self.factors):
            if factor.covariance is None:
                continue
            end = start + factor.scales
            scale = inputs.normal_scale(scales[:, start:end], place, factor)
            means = loc[:, factor.slice]
            drawn = sampling.sample_normal(means, scale, factor.covariance, len(z), rng)
            z[..., factor.slice] = drawn
            start = end


def _spheres_alike(manifest: Manifest) -> list[_SpheresAlike]:
    """In the order in which each family and dimension comes first."""
    groups: dict[tuple[str, int], list[int]] = {}
    for order, place in enumerate(manifest.spheres):
        factor = manifest.factors[place]
        groups.setdefault((factor.family, factor.ambient), []).append(order)
    alike = []
    for (family, ambient), orders in groups.items():
        offsets = [manifest.factors[manifest.spheres[order]].offset for order in orders]
        columns = np.add.outer(offsets, np.arange(ambient))
        alike.append(_SpheresAlike(family, np.array(orders), columns))
    return alike


def _difference(expected: NDArray[Any], value: NDArray[Any]) -> float:
    if expected.shape != value.shape:
        return float("inf")
    return float(np.max(np.abs(expected - value) / np.maximum(1, np.abs(expected))))
