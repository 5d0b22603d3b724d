"""A trained model in an application: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file

from sxvae_runtime import geometry, sampling
from sxvae_runtime.errors import BundleError, InputError
from sxvae_runtime.manifest import Factor, Graph, Manifest, read_manifest

Seed = int | np.random.Generator | None

# What a graph's outputs may differ by on another machine, relative to max(1, |value|).
_GOLDEN_TOLERANCE = 1e-4
# How far a latent vector's norm may be from 1 in each factor.
_NORM_TOLERANCE = 1e-3


class Posterior(NamedTuple):
    """q(z given x) for n images.

    Attributes:
        mean_direction: the factors' mean directions side by side, shape (n, ambient).
        concentration: one number a sphere, shape (n, spheres).
        scale: of Euclidean factors; None where there are none.
    """

    mean_direction: NDArray[np.float32]
    concentration: NDArray[np.float32]
    scale: NDArray[np.float32] | None


class Bundle:
    """An exported model, run by onnxruntime. Make one with `load`.

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
        """The spheres, in the order in which they lie in a latent vector."""
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
        outputs = self._run(self._encoder, "encoder", self._images(x))
        return Posterior(outputs["mean_direction"], outputs["concentration"], outputs.get("scale"))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """The likelihood's mean, pixel probabilities, shape (n, C, H, W).

        Args:
            z: latent vectors, shape (n, ambient), of norm 1 in each factor.

        Raises:
            InputError: if the shape, the type or a norm is wrong.
        """
        return self._run(self._decoder, "decoder", self._latent(z, "z", 2))["mean"]

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """Decode the images' mean directions, shape (n, C, H, W).

        Raises:
            InputError: if the shape, the type or a value of `x` is wrong.
        """
        return self.decode(self.encode(x).mean_direction)

    def sample_prior(self, n: int, *, seed: Seed = None) -> NDArray[np.float32]:
        """Latent vectors uniform on every sphere, shape (n, ambient).

        Raises:
            InputError: if `n` is below 1.
        """
        rng = _generator(seed)
        _at_least(1, n, "n")
        parts = [sampling.uniform_directions((n, f.ambient), rng) for f in self.factors]
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
        _at_least(1, samples, "samples")
        q = Posterior(*q)
        loc = self._latent(q.mean_direction, "mean_direction", 2)
        concentration = np.asarray(q.concentration)
        if concentration.shape != (len(loc), len(self.factors)):
            raise InputError(
                f"concentration has the shape {concentration.shape}; "
                f"{(len(loc), len(self.factors))} is needed"
            )
        rng = _generator(seed)
        z = np.empty((samples, len(loc), self.ambient), dtype=np.float32)
        for (family, ambient), places in self._groups().items():
            columns = np.array([np.r_[self.factors[place].slice] for place in places])
            shape = (samples, len(loc), len(places))
            z[..., columns] = sampling.sample(
                family,
                np.broadcast_to(loc[:, columns], (*shape, ambient)),
                np.broadcast_to(concentration[:, places], shape),
                rng,
            )
        return z

    def interpolate(
        self, z0: ArrayLike, z1: ArrayLike, steps: int = 10, *, long_way: bool = False
    ) -> NDArray[np.float32]:
        """Walk from one latent vector to another along a great circle on each sphere.

        Args:
            z0: shape (ambient,).
            z1: shape (ambient,).
            steps: how many points, both ends included.
            long_way: take the longer arc on every sphere instead of the shorter.

        Returns:
            Shape (steps, ambient).

        Raises:
            InputError: if a shape or a norm is wrong, or `steps` is below 2.
        """
        _at_least(2, steps, "steps")
        start, end = self._latent(z0, "z0", 1), self._latent(z1, "z1", 1)
        parts = []
        for factor in self.factors:
            ends = (part[factor.slice].astype(np.float64) for part in (start, end))
            units = [part / np.linalg.norm(part) for part in ends]
            parts.append(geometry.great_circle(units[0], units[1], steps, long_way))
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def verify(self) -> float:
        """Run the bundle's golden inputs through the graphs.

        Returns:
            The largest difference from the golden outputs, relative to max(1, |value|).

        Raises:
            BundleError: if it is above 1e-4: this host computes something else.
        """
        golden = load_file(self.path / self.manifest.golden)
        try:
            q = self.encode(golden["x"])
            found = {**q._asdict(), "mean": self.decode(golden["z"])}
            pairs = [(golden[n], v) for n, v in found.items() if v is not None]
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

    def _groups(self) -> dict[tuple[str, int], list[int]]:
        """The places of the factors of equal family and dimension: one batch each."""
        groups: dict[tuple[str, int], list[int]] = {}
        for place, factor in enumerate(self.factors):
            groups.setdefault((factor.family, factor.ambient), []).append(place)
        return groups

    def _run(
        self, session: onnxruntime.InferenceSession, name: str, value: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float32]]:
        graph = self.manifest.graphs[name]
        (feed,) = graph.inputs
        return dict(
            zip(graph.outputs, session.run(list(graph.outputs), {feed: value}), strict=True)
        )

    def _images(self, x: ArrayLike) -> NDArray[np.float32]:
        array = _array(x, "x")
        expected = f"(n, {', '.join(map(str, self.input_shape))})"
        if array.ndim != 4 or array.shape[1:] != self.input_shape:
            raise InputError(f"x has the shape {array.shape}; {expected} is needed")
        if array.dtype == np.uint8:
            return array.astype(np.float32) / np.float32(255)
        array = _floats(array, "x")
        if array.size and (array.min() < 0 or array.max() > 1):
            raise InputError(
                f"x holds values from {array.min():g} to {array.max():g}; they must lie in [0, 1] "
                "(or be uint8, which is divided by 255)"
            )
        return array

    def _latent(self, z: ArrayLike, name: str, ndim: int) -> NDArray[np.float32]:
        array = _array(z, name)
        if array.ndim != ndim or array.shape[-1] != self.ambient:
            expected = f"(n, {self.ambient})" if ndim == 2 else f"({self.ambient},)"
            raise InputError(f"{name} has the shape {array.shape}; {expected} is needed")
        array = _floats(array, name)
        for place, factor in enumerate(self.factors):
            norms = np.linalg.norm(array[..., factor.slice], axis=-1)
            off = np.abs(norms - 1)
            if off.size and off.max() > _NORM_TOLERANCE:
                worst = float(np.atleast_1d(norms)[np.argmax(off)])
                raise InputError(
                    f"{name} has norm {worst:.4g} in factor {place} (S^{factor.dim}); points of a "
                    "sphere have norm 1: divide each factor's coordinates by their norm"
                )
        return array


def load(path: str | Path, *, providers: Sequence[Any] | None = None, threads: int = 1) -> Bundle:
    """Open a bundle, all of it checked.

    Args:
        path: the folder that `sxvae export --onnx` wrote.
        providers: onnxruntime's execution providers; the CPU's if None.
        threads: onnxruntime's threads within an operator.

    Raises:
        BundleNotFoundError: if the folder or a file of it is missing.
        BundleError: if a file is damaged, swapped, foreign or of a newer format.
        InputError: if onnxruntime has no such provider.

    Example:
        app = sxvae_runtime.load("bundle")
        images = app.decode(app.sample_prior(16, seed=0))
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    wanted = list(providers or ["CPUExecutionProvider"])
    _check_providers(wanted)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {}
    for name in ("encoder", "decoder"):
        if name not in manifest.graphs:
            raise BundleError(f"{folder} has no {name} graph; export the bundle again")
        sessions[name] = _session(folder, manifest.graphs[name], wanted, options)
    _check_spaces(folder, manifest)
    return Bundle(folder, manifest, sessions["encoder"], sessions["decoder"])


def _check_providers(providers: list[Any]) -> None:
    """Refuse what onnxruntime would quietly leave out; an entry is a name, or (name, options)."""
    available = onnxruntime.get_available_providers()
    for entry in providers:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise InputError(
                f"this onnxruntime has no provider {name!r}; choose from {', '.join(available)}"
            )


def _session(
    folder: Path,
    graph: Graph,
    providers: list[Any],
    options: onnxruntime.SessionOptions,
) -> onnxruntime.InferenceSession:
    path = folder / graph.file
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no base class but this
        raise BundleError(f"onnxruntime can't load {path}: {error}") from error
    for stated, actual in (
        (graph.inputs, session.get_inputs()),
        (graph.outputs, session.get_outputs()),
    ):
        if stated != {port.name: tuple(port.shape) for port in actual}:
            raise BundleError(
                f"{path} has other inputs or outputs than the manifest says; export it again"
            )
    return session


def _check_spaces(folder: Path, manifest: Manifest) -> None:
    offset = 0
    for factor in manifest.factors:
        if factor.family not in sampling.FAMILIES:
            raise BundleError(
                f"{folder}: the manifest's family {factor.family!r} is not known; install a newer "
                "sxvae_runtime"
            )
        if (factor.offset, factor.ambient) != (offset, factor.dim + 1):
            raise BundleError(f"{folder}: the manifest's factors are not spheres side by side")
        offset += factor.ambient
    ports = {
        "encoder": {"x": ("batch", *manifest.input_shape)},
        "decoder": {"z": ("batch", manifest.ambient)},
    }
    for name, inputs in ports.items():
        if manifest.graphs[name].inputs != inputs:
            raise BundleError(
                f"{folder / manifest.graphs[name].file} does not fit the manifest's factors and "
                "input shape; export the bundle again"
            )


def _floats(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    if not np.issubdtype(array.dtype, np.floating):
        kinds = "floating point or uint8" if name == "x" else "floating point"
        raise InputError(f"{name} has the type {array.dtype}; {kinds} is needed")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are not finite")
    return np.ascontiguousarray(array, dtype=np.float32)


def _at_least(least: int, count: int, name: str) -> None:
    if not isinstance(count, int | np.integer) or count < least:
        raise InputError(f"{name} must be a whole number of at least {least}, not {count}")


def _generator(seed: Seed) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"seed must be a whole number of at least 0, a Generator or None, not {seed!r}"
        ) from error


def _array(value: ArrayLike, name: str) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is no array: its rows differ in shape") from error


def _difference(expected: NDArray[Any], value: NDArray[Any]) -> float:
    if expected.shape != value.shape:
        return float("inf")
    return float(np.max(np.abs(expected - value) / np.maximum(1, np.abs(expected))))
