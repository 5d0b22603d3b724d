"""Product spaces: which factors, in which order, and where the numbers of each lie.

Importing this module does not import PyTorch; the methods that return tensors or distributions do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sxvae.errors import ConfigError
from sxvae.space_bounds import refuse_a_space_too_large
from sxvae_runtime.factors import COVARIANCES, Covariance, Factor, Layout
from sxvae_runtime.families import FAMILIES
from sxvae_runtime.text import shown

if TYPE_CHECKING:
    import torch

    from sxvae.distributions import ProductDistribution

DEFAULT_COVARIANCE: Covariance = "diagonal"


class PosteriorParameters(NamedTuple):
    """The parameters of q(z given x) for a batch of images.

    Attributes:
        loc: mean directions and means side by side, shape (batch, ambient).
        concentration: of each sphere, shape (batch, spheres).
        scale: of the normal factors as `Factor.scales` says, side by side, shape (batch, scales).
    """

    loc: torch.Tensor
    concentration: torch.Tensor
    scale: torch.Tensor


class ProductSpace:
    """A product of hyperspheres S^m and Euclidean parts R^m, in the order in which they were given.

    Args:
        dims: each factor's dimension m >= 1.
        families: each posterior's family; one name stands for all. "normal" makes a factor
            Euclidean.
        covariance: of the normal posteriors: "single", "diagonal" or "full".

    Raises:
        ConfigError: if there is no factor, a dimension is below 1, a family or covariance is not
            known, there are neither one nor as many families as dimensions, or the space is too
            large.

    Example:
        >>> from sxvae import ProductSpace
        >>> space = ProductSpace.parse("4,4")
        >>> str(space), space.ambient
        ('S^4 x S^4', 10)
    """

    def __init__(
        self,
        dims: Sequence[int],
        families: Sequence[str] = ("vmf",),
        covariance: Covariance = DEFAULT_COVARIANCE,
    ) -> None:
        if not dims:
            raise ConfigError("a product space needs at least one dimension, such as 4 or 4,4")
        for dim in dims:
            if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
                raise ConfigError(f"a factor has dimension 1 or more, not {shown(dim)}")
        for family in families:
            if family not in FAMILIES:
                raise ConfigError(
                    f"the distribution {shown(family)} is not known; choose from "
                    f"{', '.join(FAMILIES)}"
                )
        if covariance not in COVARIANCES:
            raise ConfigError(
                f"the covariance {shown(covariance)} is not known; choose from "
                f"{', '.join(COVARIANCES)}"
            )
        if len(families) not in (1, len(dims)):
            raise ConfigError(
                f"{len(families)} distributions do not fit {len(dims)} dimensions: "
                "give one for all or one for each"
            )
        each = tuple(families) * len(dims) if len(families) == 1 else tuple(families)
        refuse_a_space_too_large(dims, each, covariance)
        factors, offset = [], 0
        for dim, family in zip(dims, each, strict=True):
            factor = Factor(family, dim, offset, covariance if family == "normal" else None)
            factors.append(factor)
            offset += factor.ambient
        self.layout = Layout(factors)
        self._hash = hash(self.factors)
        self.covariance = covariance
        # Not when they are first used: torch.compile can't enter functools.cached_property, which
        # has a lock in Python 3.11.
        self._coordinates = self._group_coordinates()
        self._parameters = self._group_columns()

    @classmethod
    def parse(
        cls, dims: str, distribution: str = "vmf", covariance: Covariance = DEFAULT_COVARIANCE
    ) -> ProductSpace:
        """Read "4,4" and "vmf" (one family for all, or one for each, with commas).

        Raises:
            ConfigError: if a text does not say a product space.
        """
        parts = [part.strip() for part in dims.split(",")]
        if parts == [""]:
            parts = []
        if not all(re.fullmatch(r"-?[0-9]{1,20}", part) for part in parts):
            raise ConfigError(
                f"{shown(dims)} is not a list of dimensions: write whole numbers and commas, as in "
                "4,4"
            )
        families = tuple(name.strip() for name in distribution.split(","))
        return cls([int(part) for part in parts], families, covariance)

    @property
    def dims(self) -> tuple[int, ...]:
        """Each factor's dimension."""
        return tuple(factor.dim for factor in self.factors)

    @property
    def families(self) -> tuple[str, ...]:
        """Each factor's family."""
        return tuple(factor.family for factor in self.factors)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """In the order in which they lie in a latent vector."""
        return self.layout.factors

    @property
    def ambient(self) -> int:
        """The length of a latent vector."""
        return self.layout.ambient

    @property
    def spheres(self) -> tuple[int, ...]:
        """The indices of the spheres among the factors."""
        return self.layout.spheres

    @property
    def euclidean(self) -> tuple[int, ...]:
        """The indices of the Euclidean factors."""
        return self.layout.euclidean

    @property
    def scales(self) -> int:
        """How many numbers describe the scales of all normal posteriors."""
        return self.layout.scales

    @property
    def groups(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """The indices of the factors that share family and dimension: one batch each."""
        return self.layout.groups

    @property
    def slug(self) -> str:
        """A form that is fit for a file's name: S4xS4; cut short where there are many factors."""
        full = "x".join(factor.name.replace("^", "") for factor in self.factors)
        return full if len(full) <= 60 else f"{full[:57]}..."

    def _group_coordinates(self) -> dict[tuple[str, int], list[int]]:
        """The groups' coordinates in the latent vector."""
        return {
            key: [i for index in indices for i in _span(self.factors[index].slice)]
            for key, indices in self.groups.items()
        }

    def _group_columns(self) -> dict[tuple[str, int], list[int]]:
        """The groups' columns among the concentrations, or among the scales if normal."""
        layout = self.layout
        return {
            key: [
                i
                for index in indices
                for i in _span(
                    layout.concentration_slices[index]
                    if self.factors[index].is_sphere
                    else layout.scale_slices[index]
                )
            ]
            for key, indices in self.groups.items()
        }

    def __str__(self) -> str:
        return " x ".join(factor.name for factor in self.factors)

    def __repr__(self) -> str:
        return f"ProductSpace({list(self.dims)}, {list(self.families)}, {self.covariance!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductSpace) and self.factors == other.factors

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its arguments, because texts have another hash in another process."""
        return type(self), (self.dims, self.families, self.covariance)

    def normalize(self, raw: torch.Tensor) -> torch.Tensor:
        """Scale each sphere's coordinates to norm 1, shape (..., ambient) to the same."""
        from sxvae.distributions.geometry import unit_vectors

        parts = {}
        for key in self.groups:
            part = self._of_group(raw, key)
            parts[key] = (part if key[0] == "normal" else unit_vectors(part)).flatten(-2)
        return _in_order(parts, self._coordinates)

    def posterior(
        self,
        loc: torch.Tensor,
        concentration: torch.Tensor,
        scale: torch.Tensor | None = None,
    ) -> ProductDistribution:
        """q(z given x).

        Args:
            loc: mean directions and means side by side, shape (..., ambient), norm 1 on each
                sphere.
            concentration: shape (..., spheres), k >= 0.
            scale: the normal factors' scales side by side, each as `Factor.scales` says, shape
                (..., scales); may be left out where there are none.

        Raises:
            ValueError: if there are normal factors and no scale.
        """
        from sxvae.distributions import ProductDistribution

        if scale is None:
            if self.scales:
                raise ValueError(f"the posterior over {self} needs a scale")
            scale = concentration[..., :0]
        groups = []
        for key in self.groups:
            parameters = scale if key[0] == "normal" else concentration
            columns = self._parameters[key]
            if len(columns) < parameters.shape[-1]:
                parameters = parameters[..., columns]
            groups.append(self._group_posterior(key, self._of_group(loc, key), parameters))
        return ProductDistribution(groups, tuple(self.groups.values()), validate_args=False)

    def parameters(self, posterior: ProductDistribution) -> PosteriorParameters:
        """The parameters of a posterior over this space, so that `posterior(*parameters)` is it.

        Raises:
            ValueError: if the distribution is over another space.
        """
        from sxvae.distributions.normal import normal_parameters

        if posterior.positions != tuple(self.groups.values()):
            raise ValueError(f"the distribution is not a posterior over {self}")
        loc, concentration, scale = {}, {}, {}
        for key, group in zip(self.groups, posterior.groups, strict=True):
            if key[0] == "normal":
                means, scales = normal_parameters(group, self.covariance)
                loc[key], scale[key] = means.flatten(-2), scales.flatten(-2)
            else:
                loc[key], concentration[key] = group.loc.flatten(-2), group.concentration  # type: ignore[attr-defined]
        directions = _in_order(loc, self._coordinates)
        none = directions[..., :0]
        return PosteriorParameters(
            directions,
            _in_order(concentration, self._parameters) if concentration else none,
            _in_order(scale, self._parameters) if scale else none,
        )

    def prior(
        self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
    ) -> ProductDistribution:
        """p(z): uniform on every sphere, standard normal on Euclidean factors, batch shape ()."""
        import torch

        from sxvae.distributions import HypersphericalUniform, ProductDistribution
        from sxvae.distributions.normal import normal

        groups: list[torch.distributions.Distribution] = []
        for (family, dim), indices in self.groups.items():
            n = len(indices)
            if family == "normal":
                zeros = torch.zeros(n, dim, dtype=dtype, device=device)
                unit = torch.eye(dim, dtype=dtype, device=device).flatten()
                scale = unit if self.covariance == "full" else torch.ones_like(unit[:1])
                groups.append(normal(zeros, scale.expand(n, -1), self.covariance))
            else:
                groups.append(HypersphericalUniform(dim, (n,), dtype=dtype, device=device))
        return ProductDistribution(groups, tuple(self.groups.values()), validate_args=False)

    def _group_posterior(
        self, key: tuple[str, int], loc: torch.Tensor, parameters: torch.Tensor
    ) -> torch.distributions.Distribution:
        """The posterior of a group, batch shape (..., n_g)."""
        from sxvae.distributions.families import SPHERICAL_DISTRIBUTIONS
        from sxvae.distributions.normal import normal

        family = key[0]
        if family == "normal":
            scale = parameters.unflatten(-1, (len(self.groups[key]), -1))
            return normal(loc, scale, self.covariance)
        return SPHERICAL_DISTRIBUTIONS[family](loc, parameters, validate_args=False)

    def _of_group(self, value: torch.Tensor, key: tuple[str, int]) -> torch.Tensor:
        """A group's part of (..., ambient), shape (..., n_g, p)."""
        if len(self.groups) > 1:
            value = value[..., self._coordinates[key]]
        part: torch.Tensor = value.unflatten(-1, (len(self.groups[key]), -1))
        return part


def _in_order(
    parts: dict[tuple[str, int], torch.Tensor], columns: dict[tuple[str, int], list[int]]
) -> torch.Tensor:
    """Put the groups' parts, of shapes (..., number of their columns), into the factors' order.

    Args:
        parts: some or all groups.
        columns: where each group's columns belong in the result.
    """
    import torch

    if len(parts) == 1:
        return next(iter(parts.values()))
    targets = [i for key in parts for i in columns[key]]
    order = sorted(range(len(targets)), key=targets.__getitem__)
    joined: torch.Tensor = torch.cat(list(parts.values()), dim=-1)[..., order]
    return joined


def _span(part: slice) -> range:
    return range(part.start, part.stop)
