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

# What a graph's outputs may differ by on another machine, relative to max(1, |value|).
_GOLDEN_TOLERANCE = 1e-4
# Rows that a graph takes at a time.
_BATCH = 256


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
    scale: NDArray[np.float32] | None


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
        self._encoder = encoder
        self._decoder = decoder

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
        outputs = self._run(self._encoder, "encoder", inputs.images(x, self.input_shape))
        loc = outputs["mean_direction"]
        none = np.empty((len(loc), 0), dtype=np.float32)
        return Posterior(loc, outputs.get("concentration", none), outputs.get("scale"))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """The likelihood's mean, shape (n, C, H, W).

        Args:
            z: latent vectors, shape (n, ambient), of norm 1 on each sphere.

        Raises:
            InputError: if the shape, the type or a norm is wrong.
        """
        return self._run(self._decoder, "decoder", self._latent(z, "z"))["mean"]

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
        self._draw_on_euclidean_factors(z, q, rng)
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
        loc = self._latent(q.mean_direction, "mean_direction")
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
        """Fill in the spheres' coordinates; those of equal family and dimension are one batch."""
        groups: dict[tuple[str, int], list[int]] = {}
        for order, place in enumerate(self.manifest.spheres):
            factor = self.factors[place]
            groups.setdefault((factor.family, factor.ambient), []).append(order)
        for (family, ambient), orders in groups.items():
            places = [self.manifest.spheres[order] for order in orders]
            columns = np.array([np.r_[self.factors[place].slice] for place in places])
            shape = (*z.shape[:2], len(places))
            z[..., columns] = sampling.sample(
                family,
                np.broadcast_to(q.mean_direction[:, columns], (*shape, ambient)),
                np.broadcast_to(q.concentration[:, orders], shape),
                rng,
            )

    def _draw_on_euclidean_factors(
        self, z: NDArray[np.float32], q: Posterior, rng: np.random.Generator
    ) -> None:
        """Fill in the Euclidean coordinates."""
        start = 0
        for place, factor in enumerate(self.factors):
            if factor.covariance is None or q.scale is None:
                continue
            end = start + factor.scales
            scale = inputs.normal_scale(q.scale[:, start:end], place, factor)
            loc = q.mean_direction[:, factor.slice]
            drawn = sampling.sample_normal(loc, scale, factor.covariance, len(z), rng)
            z[..., factor.slice] = drawn
            start = end

    def _run(
        self, session: onnxruntime.InferenceSession, name: str, value: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float32]]:
        """All outputs of a graph, a batch at a time: convolutions take megabytes for each row."""
        graph = self.manifest.graphs[name]
        (feed,) = graph.inputs
        batches = [
            session.run(list(graph.outputs), {feed: value[start : start + _BATCH]})
            for start in range(0, max(len(value), 1), _BATCH)
        ]
        return {
            output: parts[0] if len(parts) == 1 else np.concatenate(parts)
            for output, parts in zip(graph.outputs, zip(*batches, strict=True), strict=True)
        }

    def _latent(self, z: ArrayLike, name: str, ndim: int = 2) -> NDArray[np.float32]:
        return inputs.latent(z, name, ndim, self.manifest)


def _difference(expected: NDArray[Any], value: NDArray[Any]) -> float:
    if expected.shape != value.shape:
        return float("inf")
    return float(np.max(np.abs(expected - value) / np.maximum(1, np.abs(expected))))
