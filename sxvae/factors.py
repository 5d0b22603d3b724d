"""The factors of a product space. Needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Covariance = Literal["single", "diagonal", "full"]

SPHERICAL_FAMILIES = ("vmf", "power-spherical")
FAMILIES = (*SPHERICAL_FAMILIES, "normal")
COVARIANCES: tuple[Covariance, ...] = get_args(Covariance)


@dataclass(frozen=True)
class Factor:
    """One sphere S^m of the product, or one Euclidean part R^m.

    Attributes:
        family: the posterior's family, one of `FAMILIES`; "normal" is the Euclidean one.
        dim: the manifold's dimension m.
        offset: where its coordinates start in the latent vector.
        covariance: a normal posterior's: "single" (one standard deviation), "diagonal" (one for
            each coordinate) or "full"; None on a sphere.
    """

    family: str
    dim: int
    offset: int
    covariance: Covariance | None = None

    @property
    def is_sphere(self) -> bool:
        """Whether it is a sphere."""
        return self.family in SPHERICAL_FAMILIES

    @property
    def ambient(self) -> int:
        """The number of its coordinates: m + 1 for a sphere, m for a Euclidean factor."""
        return self.dim + 1 if self.is_sphere else self.dim

    @property
    def scales(self) -> int:
        """The numbers that say a normal posterior's scale.

        1 for single and m for diagonal covariance, the m x m entries of the Cholesky factor, row by
        row, for full; 0 for a sphere.
        """
        return {None: 0, "single": 1, "diagonal": self.dim, "full": self.dim**2}[self.covariance]

    @property
    def slice(self) -> slice:
        """Its coordinates in the latent vector."""
        return slice(self.offset, self.offset + self.ambient)

    @property
    def name(self) -> str:
        """As in the literature: S^4, R^5."""
        return f"{'S' if self.is_sphere else 'R'}^{self.dim}"
