"""Product spaces: which spheres, in which order, and where each lies in the latent vector.

Nothing here needs PyTorch until a distribution is asked for.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sxvae.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from sxvae.distributions import ProductDistribution

FAMILIES = ("vmf", "power-spherical")


@dataclass(frozen=True)
class Factor:
    """One sphere of the product.

    Attributes:
        family: the posterior's family, one of `FAMILIES`.
        dim: the manifold's dimension m.
        offset: where its coordinates start in the latent vector.
    """

    family: str
    dim: int
    offset: int

    @property
    def ambient(self) -> int:
        """The number of its coordinates, m + 1."""
        return self.dim + 1

    @property
    def slice(self) -> slice:
        """Its coordinates in the latent vector."""
        return slice(self.offset, self.offset + self.ambient)

    @property
    def name(self) -> str:
        """As in the literature: S^4."""
        return f"S^{self.dim}"


class ProductSpace:
    """A product of hyperspheres S^m1 x S^m2 x ..., in the order in which they were given.

    Args:
        dims: each sphere's dimension m >= 1.
        families: each posterior's family; one name stands for all.

    Raises:
        ConfigError: if there is no sphere, a dimension is below 1, a family is not known, or there
            are neither one nor as many families as dimensions.

    Example:
        >>> from sxvae import ProductSpace
        >>> space = ProductSpace.parse("4,4")
        >>> str(space), space.ambient
        ('S^4 x S^4', 10)
    """

    def __init__(self, dims: Sequence[int], families: Sequence[str] = ("vmf",)) -> None:
        if not dims:
            raise ConfigError("a product space needs at least one dimension, such as 4 or 4,4")
        for dim in dims:
            if not isinstance(dim, int) or dim < 1:
                raise ConfigError(f"a sphere has dimension 1 or more, not {dim}")
        for family in families:
            if family not in FAMILIES:
                raise ConfigError(
                    f"the distribution {family!r} is not known; choose from {', '.join(FAMILIES)}"
                )
        if len(families) not in (1, len(dims)):
            raise ConfigError(
                f"{len(families)} distributions do not fit {len(dims)} dimensions: "
                "give one for all or one for each"
            )
        each = tuple(families) * len(dims) if len(families) == 1 else tuple(families)
        factors, offset = [], 0
        for dim, family in zip(dims, each, strict=True):
            factors.append(Factor(family, dim, offset))
            offset += dim + 1
        self.factors = tuple(factors)
        self.ambient = offset

    @classmethod
    def parse(cls, dims: str, distribution: str = "vmf") -> ProductSpace:
        """Read "4,4" and "vmf" (one family for all, or one for each, with commas).

        Raises:
            ConfigError: if either text does not say a product space.
        """
        parts = [part.strip() for part in dims.split(",")]
        if parts == [""]:
            parts = []
        if not all(re.fullmatch(r"-?[0-9]+", part) for part in parts):
            raise ConfigError(
                f"{dims!r} is not a list of dimensions: write whole numbers and commas, as in 4,4"
            )
        return cls(
            [int(part) for part in parts], tuple(name.strip() for name in distribution.split(","))
        )

    @property
    def dims(self) -> tuple[int, ...]:
        """Each factor's dimension."""
        return tuple(factor.dim for factor in self.factors)

    @property
    def families(self) -> tuple[str, ...]:
        """Each factor's family."""
        return tuple(factor.family for factor in self.factors)

    @property
    def slug(self) -> str:
        """A form that is fit for a file's name: S4xS4; cut short where there are many factors."""
        full = "x".join(f"S{factor.dim}" for factor in self.factors)
        return full if len(full) <= 60 else f"{full[:57]}..."

    @functools.cached_property
    def groups(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """The places of the factors that share family and dimension: one batch each."""
        groups: dict[tuple[str, int], list[int]] = {}
        for place, factor in enumerate(self.factors):
            groups.setdefault((factor.family, factor.dim), []).append(place)
        return {key: tuple(places) for key, places in groups.items()}

    @functools.cached_property
    def _coordinates(self) -> dict[tuple[str, int], list[int]]:
        """The groups' coordinates in the latent vector."""
        return {
            key: [
                i
                for place in places
                for i in range(*self.factors[place].slice.indices(self.ambient))
            ]
            for key, places in self.groups.items()
        }

    def __str__(self) -> str:
        return " x ".join(factor.name for factor in self.factors)

    def __repr__(self) -> str:
        return f"ProductSpace({list(self.dims)}, {list(self.families)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductSpace) and self.factors == other.factors

    def __hash__(self) -> int:
        return hash(self.factors)

    def normalize(self, raw: torch.Tensor) -> torch.Tensor:
        """Scale each factor's coordinates to norm 1, shape (..., ambient) to the same."""
        from torch.nn.functional import normalize

        parts = {
            key: normalize(self._of_group(raw, key), dim=-1).flatten(-2) for key in self.groups
        }
        if len(parts) == 1:
            return next(iter(parts.values()))
        return self._in_order(parts)

    def posterior(self, loc: torch.Tensor, concentration: torch.Tensor) -> ProductDistribution:
        """q(z given x).

        Args:
            loc: mean directions side by side, shape (..., ambient), norm 1 in each factor.
            concentration: shape (..., factors), k >= 0.
        """
        from sxvae.distributions import PowerSpherical, ProductDistribution, VonMisesFisher

        classes = {"vmf": VonMisesFisher, "power-spherical": PowerSpherical}
        groups = [
            classes[key[0]](
                self._of_group(loc, key),
                concentration if len(self.groups) == 1 else concentration[..., list(places)],
                validate_args=False,
            )
            for key, places in self.groups.items()
        ]
        return ProductDistribution(groups, tuple(self.groups.values()), validate_args=False)

    def prior(
        self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> ProductDistribution:
        """p(z): uniform on every sphere, batch shape ()."""
        from sxvae.distributions import HypersphericalUniform, ProductDistribution

        groups = [
            HypersphericalUniform(dim, (len(places),), dtype=dtype, device=device)
            for (_, dim), places in self.groups.items()
        ]
        return ProductDistribution(groups, tuple(self.groups.values()), validate_args=False)

    def _of_group(self, value: torch.Tensor, key: tuple[str, int]) -> torch.Tensor:
        """A group's part of (..., ambient), shape (..., n_g, m + 1)."""
        if len(self.groups) > 1:
            value = value[..., self._coordinates[key]]
        part: torch.Tensor = value.unflatten(-1, (len(self.groups[key]), key[1] + 1))
        return part

    def _in_order(self, parts: dict[tuple[str, int], torch.Tensor]) -> torch.Tensor:
        """The inverse of `_of_group` over all groups, from (..., n_g (m + 1)) each."""
        import torch

        places = [i for key in parts for i in self._coordinates[key]]
        order = sorted(range(len(places)), key=places.__getitem__)
        joined: torch.Tensor = torch.cat(list(parts.values()), dim=-1)[..., order]
        return joined
