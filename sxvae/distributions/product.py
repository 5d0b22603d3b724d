"""The distribution of independent factors whose vectors are concatenated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl
from torch.distributions.constraints import Constraint

from sxvae.distributions.constants import cached_constant
from sxvae.distributions.geometry import Shape
from sxvae.distributions.precision import (
    common_type,
    in_full_precision,
    is_reduced,
    promoted_distribution,
)

_Positions = tuple[tuple[int, ...], ...]


class _ProductSupport(Constraint):
    is_discrete = False
    event_dim = 1

    def __init__(self, product: ProductDistribution) -> None:
        self._product = product

    def check(self, value: Tensor) -> Tensor:
        """Whether every part is in its factor's support, shape (...)."""
        groups = zip(self._product.groups, self._product.split(value), strict=True)
        parts = []
        for group, part in groups:
            assert group.support is not None  # all distributions here have one
            parts.append(group.support.check(part).all(dim=-1))
        return torch.stack(parts).all(dim=0)


class ProductDistribution(Distribution):
    """Independent factors, their vectors concatenated in the factors' order.

    Factors that share family and dimension are computed together, as a group: one distribution
    whose last batch axis runs over them. `positions` gives the factors' order, which holds for the
    coordinates of samples and for everything that is returned per factor.

    Args:
        groups: distributions with batch shapes (*batch, n_g) and event shapes (p_g,).
        positions: for each group the indices of its n_g factors in the factors' order.
        validate_args: passed to torch.distributions; the groups check their own values.

    Raises:
        ValueError: if the groups' batch shapes differ in more than their last axis, or `positions`
            is not a partition of 0..n-1 for n factors.

    Example:
        >>> import torch
        >>> from sxvae.distributions import HypersphericalUniform, ProductDistribution
        >>> from sxvae.distributions import VonMisesFisher
        >>> prior = ProductDistribution(
        ...     [HypersphericalUniform(4, (2,)), HypersphericalUniform(1, (1,))], [(0, 2), (1,)]
        ... )
        >>> prior.sample((10,)).shape  # S^4 x S^1 x S^4: 5 + 2 + 5 coordinates
        torch.Size([10, 12])
        >>> posterior = ProductDistribution(
        ...     [
        ...         VonMisesFisher(torch.eye(5)[:2], torch.tensor([0.0, 9.0])),
        ...         VonMisesFisher(torch.eye(2)[:1], torch.tensor([3.0])),
        ...     ],
        ...     [(0, 2), (1,)],
        ... )
        >>> posterior.kl_per_factor(prior)
        tensor([0.0000, 0.8446, 2.2318])
    """

    def __init__(
        self,
        groups: Sequence[Distribution],
        positions: Sequence[Sequence[int]],
        validate_args: bool | None = None,
    ) -> None:
        self.groups = tuple(groups)
        self.positions: _Positions = tuple(tuple(indices) for indices in positions)
        sizes = [group.batch_shape[-1] for group in self.groups]
        counts = [len(indices) for indices in self.positions]
        # Compared one by one, not as a set: while a graph is traced, sizes have no hash.
        batch_shapes = [group.batch_shape[:-1] for group in self.groups]
        are_equal = all(shape == batch_shapes[0] for shape in batch_shapes)
        if not (batch_shapes and are_equal) or sizes != counts:
            raise ValueError("every group needs the batch shape (*batch, number of its positions)")
        if sorted(sum(self.positions, ())) != list(range(sum(sizes))):
            raise ValueError("the groups' positions must be each of 0..n-1 once")
        self._ambients = tuple(group.event_shape[0] for group in self.groups)
        ambient = sum(size * p for size, p in zip(sizes, self._ambients, strict=True))
        super().__init__(batch_shapes[0], torch.Size([ambient]), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every group has pathwise gradients."""
        return all(group.has_rsample for group in self.groups)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:
        """Empty: the groups have the parameters."""
        return {}

    @property
    def support(self) -> Constraint:
        """Vectors whose parts lie in their factors' supports."""
        return _ProductSupport(self)

    @property
    def dtype(self) -> torch.dtype | None:
        """The type to which PyTorch promotes those of the groups."""
        return common_type(list(self.groups))

    @property
    def is_reduced(self) -> bool:
        """Whether some group is of a reduced type."""
        return any(is_reduced(group) for group in self.groups)

    @property
    def has_parameters(self) -> bool:
        """Whether some group has parameters, whose type then is that of a KL."""
        return any(getattr(group, "has_parameters", True) for group in self.groups)

    def promoted(self) -> ProductDistribution:
        """The same product with the groups of reduced types in float32."""
        groups = [promoted_distribution(group) for group in self.groups]
        return ProductDistribution(groups, self.positions, self._validate_args)

    @property
    def factors(self) -> int:
        """The number of factors."""
        return sum(len(indices) for indices in self.positions)

    @property
    @in_full_precision
    def mean(self) -> Tensor:
        """The factors' means, shape (*batch_shape, ambient)."""
        return self._join([group.mean for group in self.groups])

    @property
    @in_full_precision
    def mode(self) -> Tensor:
        """The factors' modes, shape (*batch_shape, ambient)."""
        return self._join([group.mode for group in self.groups])

    @property
    @in_full_precision
    def variance(self) -> Tensor:
        """The factors' variances, shape (*batch_shape, ambient)."""
        return self._join([group.variance for group in self.groups])

    @in_full_precision
    def per_factor(self, of: Callable[[Distribution], Tensor]) -> Tensor:
        """One number for each factor, in the factors' order, shape (..., factors).

        Args:
            of: computes the numbers of a group, shape (..., n_g).

        Example:
            >>> import torch
            >>> from sxvae.distributions import HypersphericalUniform, ProductDistribution
            >>> prior = ProductDistribution([HypersphericalUniform(4, (2,))], [(0, 1)])
            >>> prior.per_factor(lambda group: group.entropy()).shape
            torch.Size([2])
        """
        return self._order_factors([of(group) for group in self.groups])

    def split(self, value: Tensor) -> list[Tensor]:
        """The groups' coordinates of `value` (..., ambient): for each a tensor (..., n_g, p_g)."""
        order = _to_user_order(self.positions, self._ambients, value.device)
        if order is not None:
            value = value[..., torch.argsort(order)]
        counts = [len(indices) for indices in self.positions]
        sizes = [n * p for n, p in zip(counts, self._ambients, strict=True)]
        parts = zip(value.split(sizes, dim=-1), counts, self._ambients, strict=True)
        return [part.unflatten(-1, (n, p)) for part, n, p in parts]

    def expand(
        self,
        batch_shape: Shape,
        _instance: ProductDistribution | None = None,
    ) -> ProductDistribution:
        """The same product with its batch shape expanded."""
        groups = [
            group.expand(torch.Size((*batch_shape, group.batch_shape[-1]))) for group in self.groups
        ]
        new: ProductDistribution = self._get_checked_instance(ProductDistribution, _instance)  # type: ignore[no-untyped-call]
        ProductDistribution.__init__(new, groups, self.positions, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @in_full_precision
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, ambient)."""
        return self._join([group.rsample(torch.Size(sample_shape)) for group in self.groups])

    @in_full_precision
    def log_prob_per_factor(self, value: Tensor) -> Tensor:
        """Each factor's log-density, nats, shape (..., *batch_shape, factors)."""
        parts = zip(self.groups, self.split(value), strict=True)
        return self._order_factors([group.log_prob(part) for group, part in parts])

    @in_full_precision
    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the product of the factors' measures, nats."""
        return self.log_prob_per_factor(value).sum(dim=-1)

    @in_full_precision
    def entropy(self) -> Tensor:
        """The sum of the factors' entropies, nats, shape batch_shape."""
        return self.per_factor(lambda group: group.entropy()).sum(dim=-1)

    @in_full_precision
    def kl_per_factor(self, other: ProductDistribution) -> Tensor:
        """KL(self, other) of each factor, nats, shape (*batch_shape, factors).

        Raises:
            ValueError: if the two are not grouped alike.
        """
        if self.positions != other.positions:
            raise ValueError("KL per factor needs two products over the same factors")
        pairs = zip(self.groups, other.groups, strict=True)
        return self._order_factors([kl_divergence(mine, its) for mine, its in pairs])

    @in_full_precision
    def rsample_and_kl(self, other: ProductDistribution) -> tuple[Tensor, Tensor]:
        """One sample and KL(self, other) of each factor, as a training step needs both.

        Returns:
            Shapes (*batch_shape, ambient) and (*batch_shape, factors), nats.

        Raises:
            ValueError: if the two are not grouped alike.
        """
        return self.rsample(), self.kl_per_factor(other)

    def _join(self, parts: list[Tensor]) -> Tensor:
        flat = _concatenate([part.flatten(-2) for part in parts])
        order = _to_user_order(self.positions, self._ambients, flat.device)
        return flat if order is None else flat[..., order]

    def _order_factors(self, parts: list[Tensor]) -> Tensor:
        joined = _concatenate(parts)
        order = _to_user_order(self.positions, (1,) * len(parts), joined.device)
        return joined if order is None else joined[..., order]


def _concatenate(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


@cached_constant
def _to_user_order(
    positions: _Positions, widths: tuple[int, ...], device: torch.device
) -> Tensor | None:
    """The permutation from the concatenated groups to the factors' order; None if it is trivial.

    Args:
        positions: for each group the indices of its factors.
        widths: how many entries a factor has, for each group.
        device: of the result.
    """
    starts: dict[int, tuple[int, int]] = {}
    offset = 0
    for indices, width in zip(positions, widths, strict=True):
        for index in indices:
            starts[index] = (offset, width)
            offset += width
    order = [
        start + i
        for start, width in (starts[index] for index in sorted(starts))
        for i in range(width)
    ]
    if order == list(range(offset)):
        return None
    return torch.tensor(order, device=device)


@register_kl(ProductDistribution, ProductDistribution)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_product_product(p: ProductDistribution, q: ProductDistribution) -> Tensor:
    return p.kl_per_factor(q).sum(dim=-1)
