"""A trained model for applications, with NumPy arrays as its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sxvae_runtime import geometry, golden, inputs, sampling
from sxvae_runtime.bundle_files import read_file, read_files
from sxvae_runtime.errors import InputError
from sxvae_runtime.factors import Factor
from sxvae_runtime.inputs import Seed
from sxvae_runtime.manifest import MANIFEST, Manifest
from sxvae_runtime.network import Network
from sxvae_runtime.posterior import Posterior, PosteriorSampler
from sxvae_runtime.sessions import Sessions

if TYPE_CHECKING:
    import onnxruntime

# A standard normal coordinate lies between these with probability 0.997.
_LEAST, _MOST = -3, 3


class Bundle:
    """An exported model, run by onnxruntime. Make one with `sxvae_runtime.load`.

    Many threads may use one bundle at once. Draws from a shared generator depend on which thread
    comes first, so give each thread a seed or a generator of its own.

    A bundle can be pickled, and so be handed to other processes: it goes as its path, options and
    hash, and is loaded there. Nothing in it changes, so copies of it are the bundle itself.

    Attributes:
        manifest: what the bundle holds.
        path: its folder.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        sessions: Sessions,
        files: Mapping[str, bytes],
        batch_size: int,
        levels: int | None,
        load_again: Callable[[], Bundle] | None,
    ) -> None:
        self.path = path
        self._folder = path.absolute()  # the working directory may change
        self.manifest = manifest
        self._sessions = sessions
        self._levels = manifest.levels if levels is None else levels
        encoder, decoder = manifest.graphs["encoder"], manifest.graphs["decoder"]
        self._parameters = [name for name in Posterior._fields if name in encoder.outputs]
        self._load_again = load_again
        encode, decode = (
            sessions.open(name, files[manifest.graphs[name].file])
            for name in ("encoder", "decoder")
        )
        self._encoder = Network("encoder", encode, encoder, self._parameters, batch_size)
        self._decoder = Network("decoder", decode, decoder, ["mean"], batch_size)
        self._only_spheres = self._parameters == ["mean_direction", "concentration"]
        self._latent = inputs.LatentCheck(manifest.layout)
        self._posteriors = PosteriorSampler(manifest.layout, self._latent)

    def __reduce__(self) -> tuple[Callable[[], Bundle], tuple[()]]:
        """How it is pickled; sessions of onnxruntime can't be.

        Raises:
            InputError: if it was loaded with `session_options`, which can't be pickled either.
        """
        if self._load_again is None:
            raise InputError(
                "a bundle that was loaded with session_options can't be pickled, because they "
                "can't; load it in each process, or with threads in their place"
            )
        return self._load_again, ()

    def __copy__(self) -> Bundle:
        """Itself."""
        return self

    def __deepcopy__(self, memo: object) -> Bundle:
        """Itself."""
        return self

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The spheres and Euclidean factors, in the order of their coordinates in z."""
        return self.manifest.layout.factors

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""
        return self.manifest.layout.ambient

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image."""
        return self.manifest.input_shape

    def encode(self, x: ArrayLike, *, levels: int | None = None) -> Posterior:
        """The posterior of images.

        Args:
            x: shape (n, C, H, W); floating point from 0 to 1, bool, or whole numbers.
            levels: how many levels whole numbers have: N - 1 stands for 1. None for those that the
                bundle was loaded with or the model was trained on, else for the whole range of
                uint8 and uint16, and for 0 and 1 in other types.

        Raises:
            InputError: if the shape, the type or a value is wrong, or the values do not look as if
                they had so many levels.
        """
        known = self._levels if levels is None else inputs.checked_levels(levels)
        values = self._encoder.run(inputs.images(x, self.manifest.input_shape, known))
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

    def reconstruct(self, x: ArrayLike, *, levels: int | None = None) -> NDArray[np.float32]:
        """Decode the images' mean directions and means, shape (n, C, H, W).

        Args:
            x: as `encode` takes it.
            levels: likewise.

        Raises:
            InputError: if the shape, the type or a value of `x` is wrong.
        """
        return self.decode(self.encode(x, levels=levels).mean_direction)

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
            seed: an int, a numpy.random.Generator, or None for a fresh random seed.

        Raises:
            InputError: if `q` has another shape, or a value is out of range.
        """
        inputs.at_least(1, samples, "samples")
        return self._posteriors.draw(q, samples, inputs.generator(seed))

    def interpolate(
        self, z0: ArrayLike, z1: ArrayLike, steps: int = 10, *, long_way: bool = False
    ) -> NDArray[np.float32]:
        """The path from one latent vector to another.

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
                first, last = (geometry.unit(part[factor.slice]) for part in (start, end))
                path[:, factor.slice] = geometry.great_circle(first, last, steps, long_way)
        return path.astype(np.float32)

    def traverse(
        self, z: ArrayLike, factor: int, *, axis: int = 0, steps: int = 10
    ) -> NDArray[np.float32]:
        """Move one factor of a latent vector through its whole range, with the others fixed.

        On a sphere the point goes once round the great circle through itself and a coordinate axis,
        in equal angles. The first point is `z` itself, and one step after the last would be `z`
        again. If the point lies on the axis, the circle leads to another axis. In a Euclidean
        factor one coordinate goes in equal steps from -3 to 3, which covers the prior.

        Args:
            z: shape (ambient,).
            factor: its index in `factors`, counted from 0.
            axis: a coordinate of the factor, counted from 0; a sphere S^m has m + 1 of them.
            steps: how many points.

        Returns:
            Shape (steps, ambient).

        Raises:
            InputError: if the shape or a norm is wrong, there is no such factor or axis, or `steps`
                is below 2.
        """
        inputs.at_least(2, steps, "steps")
        start = self._latent(z, "z", 1)
        inputs.index(factor, len(self.factors), "factor", "in app.factors")
        moved = self.factors[factor]
        inputs.index(axis, moved.ambient, "axis", f"in factor {factor} ({moved.name})")
        path = start[None].repeat(steps, axis=0)
        if moved.is_sphere:
            point = geometry.unit(start[moved.slice].astype(np.float64))
            towards = np.eye(moved.ambient)[axis]
            path[:, moved.slice] = geometry.full_circle(point, towards, steps)
        else:
            path[:, moved.offset + axis] = np.linspace(_LEAST, _MOST, steps)
        return path

    def open_session(self, graph: str) -> onnxruntime.InferenceSession:
        """A new onnxruntime session of a graph, with the options that the bundle was loaded with.

        Args:
            graph: "encoder", "decoder" or "sampler".

        Raises:
            InputError: if the bundle has no such graph.
            BundleError: if onnxruntime can't load it.
        """
        if graph not in self.manifest.graphs:
            there = ", ".join(self.manifest.graphs)
            raise InputError(f"the bundle {self.path} has no graph {graph!r}; it has {there}")
        return self._sessions.open(graph)

    def verify(self) -> float:
        """Run the bundle's golden inputs through its graphs, the sampler's too if it has one.

        Returns:
            The largest difference from the golden outputs, relative to max(1, |value|).

        Raises:
            BundleError: if it is above 1e-4: this host computes something else.
        """
        sessions = {"encoder": self._encoder.session, "decoder": self._decoder.session}
        if "sampler" in self.manifest.graphs:
            sessions["sampler"] = self.open_session("sampler")
        content = read_file(self._folder, self.manifest, self.manifest.golden)
        return golden.largest_difference(self.path, self.manifest, content, sessions)

    def files(self) -> dict[str, bytes]:
        """All files of the bundle by their names, each as it was when the bundle was loaded.

        Raises:
            BundleNotFoundError: if one is not there any more.
            BundleError: if one was changed since.
        """
        return {MANIFEST: self.manifest.source, **read_files(self._folder, self.manifest)}
