"""The factors of a product space and the layout of its vectors. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from sxvae_runtime.families import NORMAL

Covariance = Literal["single", "diagonal", "full"]

COVARIANCES: tuple[Covariance, ...] = get_args(Covariance)


@dataclass(frozen=True)
class Factor:
    """One sphere S^m of the product, or one Euclidean part R^m.

    Attributes:
        family: the posterior's family, one of `families.FAMILIES`; "normal" makes the factor
            Euclidean.
        dim: the manifold's dimension m.
        offset: the index of its first coordinate in a latent vector.
        covariance: a normal posterior's: "single" (one standard deviation), "diagonal" (one for
            each coordinate) or "full"; None on a sphere.
    """

    family: str
    dim: int
    offset: int
    covariance: Covariance | None = None

    @property
    def is_sphere(self) -> bool:
        """Whether its points have norm 1."""
        return self.family != NORMAL

    @property
    def ambient(self) -> int:
        """The number of its coordinates: m + 1 for a sphere, m for a Euclidean factor."""
        return self.dim + 1 if self.is_sphere else self.dim

    @property
    def scales(self) -> int:
        """How many numbers describe a normal posterior's scale.

        1 for single and m for diagonal covariance, the m x m entries of the Cholesky factor, row by
        row, for full; 0 for a sphere.
        """
        return {None: 0, "single": 1, "diagonal": self.dim, "full": self.dim**2}[self.covariance]

    @property
    def slice(self) -> slice:
        """Its coordinates in a latent vector."""
        return slice(self.offset, self.offset + self.ambient)

    @property
    def name(self) -> str:
        """As in the literature: S^4, R^5."""
        return f"{'S' if self.is_sphere else 'R'}^{self.dim}"


class Layout:
    """Where each factor's numbers lie in a latent vector and in a posterior's parameters.

    A posterior has three vectors: `loc` (mean directions and means, the coordinates of a latent
    vector), `concentration` (one number a sphere) and `scale` (of the normal factors). In each the
    factors keep their order.

    Attributes:
        factors: in the order in which they lie in a latent vector.
        ambient: the length of a latent vector.
        spheres: the indices of the spheres among the factors.
        euclidean: the indices of the Euclidean factors.
        scales: how many numbers describe the scales of all normal posteriors.
        groups: the indices of the factors that share family and dimension, in order of appearance.
        concentration_slices: each factor's part of `concentration`, empty for a Euclidean factor.
        scale_slices: each factor's part of `scale`, empty for a sphere.
    """

    def __init__(self, factors: Iterable[Factor]) -> None:
        self.factors = tuple(factors)
        self.ambient = sum(factor.ambient for factor in self.factors)
        self.scales = sum(factor.scales for factor in self.factors)
        numbered = tuple(enumerate(self.factors))
        self.spheres = tuple(index for index, factor in numbered if factor.is_sphere)
        self.euclidean = tuple(index for index, factor in numbered if not factor.is_sphere)
        self.groups = _groups(self.factors)
        self.concentration_slices = _slices(int(factor.is_sphere) for factor in self.factors)
        self.scale_slices = _slices(factor.scales for factor in self.factors)

    def __eq__(self, other: object) -> bool:
        """Whether the factors are the same; all the rest follows from them."""
        return isinstance(other, Layout) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self.factors)


def _groups(factors: Iterable[Factor]) -> dict[tuple[str, int], tuple[int, ...]]:
    groups: dict[tuple[str, int], list[int]] = {}
    for index, factor in enumerate(factors):
        groups.setdefault((factor.family, factor.dim), []).append(index)
    return {key: tuple(indices) for key, indices in groups.items()}


def _slices(lengths: Iterable[int]) -> tuple[slice, ...]:
    slices, start = [], 0
    for length in lengths:
        slices.append(slice(start, start + length))
        start += length
    return tuple(slices)
