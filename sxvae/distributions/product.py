"""A product of distributions on the concatenation of their ambient spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl
from torch.distributions.constraints import Constraint

from sxvae.distributions.constants import cached_constant
from sxvae.distributions.geometry import Shape

_Slots = tuple[tuple[int, ...], ...]


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
            assert group.support is not None  # every distribution of ours has one
            parts.append(group.support.check(part).all(dim=-1))
        return torch.stack(parts).all(dim=0)


class ProductDistribution(Distribution):
    """Independent factors side by side in one vector, equal ones computed as one batch.

    Factors that share family and dimension form a group: one distribution whose last batch axis
    runs over them. The groups say how things are computed, `positions` in which order they appear:
    a factor keeps the place that it was given, in samples and in everything per factor.

    Args:
        groups: distributions with batch shapes (*batch, n_g) and event shapes (p_g,).
        positions: for each group the places of its n_g factors among all, n in number.
        validate_args: passed to torch.distributions; the groups check their own values.

    Raises:
        ValueError: if the batch shapes differ but in their last axis, or the positions are not each
            of 0..n-1 once.

    Example:
        >>> import torch
        >>> from sxvae.distributions import HypersphericalUniform, ProductDistribution
        >>> prior = ProductDistribution([HypersphericalUniform(4, (2,))], [(0, 1)])
        >>> prior.sample((10,)).shape  # two S^4 in R^5 each
        torch.Size([10, 10])
    """

    def __init__(
        self,
        groups: Sequence[Distribution],
        positions: Sequence[Sequence[int]],
        validate_args: bool | None = None,
    ) -> None:
        self.groups = tuple(groups)
        self.positions: _Slots = tuple(tuple(places) for places in positions)
        sizes = [group.batch_shape[-1] for group in self.groups]
        # Compared one by one, not as a set: while a graph is traced, sizes have no hash.
        batch_shapes = [group.batch_shape[:-1] for group in self.groups]
        is_alike = all(shape == batch_shapes[0] for shape in batch_shapes)
        if not (batch_shapes and is_alike) or sizes != [len(places) for places in self.positions]:
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
        """The parameters belong to the groups."""
        return {}

    @property
    def support(self) -> Constraint:
        """Vectors whose parts lie in their factors' supports."""
        return _ProductSupport(self)

    @property
    def factors(self) -> int:
        """The number of factors."""
        return sum(len(places) for places in self.positions)

    @property
    def mean(self) -> Tensor:
        """The factors' means, shape (*batch_shape, ambient)."""
        return self._join([group.mean for group in self.groups])

    @property
    def mode(self) -> Tensor:
        """The factors' modes, shape (*batch_shape, ambient)."""
        return self._join([group.mode for group in self.groups])

    @property
    def variance(self) -> Tensor:
        """The factors' variances, shape (*batch_shape, ambient)."""
        return self._join([group.variance for group in self.groups])

    def per_factor(self, of: Callable[[Distribution], Tensor]) -> Tensor:
        """A number for each factor, in their order: `of(group)` has shape (..., n_g).

        Example:
            >>> import torch
            >>> from sxvae.distributions import HypersphericalUniform, ProductDistribution
            >>> prior = ProductDistribution([HypersphericalUniform(4, (2,))], [(0, 1)])
            >>> prior.per_factor(lambda group: group.entropy()).shape
            torch.Size([2])
        """
        return self._order_factors([of(group) for group in self.groups])

    def split(self, value: Tensor) -> list[Tensor]:
        """The groups' parts of `value` (..., ambient): a tensor (..., n_g, p_g) each."""
        order = _to_user_order(self.positions, self._ambients, value.device)
        if order is not None:
            value = value[..., torch.argsort(order)]
        sizes = [len(places) * p for places, p in zip(self.positions, self._ambients, strict=True)]
        return [
            part.unflatten(-1, (len(places), p))
            for part, places, p in zip(
                value.split(sizes, dim=-1), self.positions, self._ambients, strict=True
            )
        ]

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

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw samples, shape (*sample_shape, *batch_shape, ambient)."""
        return self._join([group.rsample(torch.Size(sample_shape)) for group in self.groups])

    def log_prob_per_factor(self, value: Tensor) -> Tensor:
        """Each factor's log-density, nats, shape (..., *batch_shape, factors)."""
        parts = zip(self.groups, self.split(value), strict=True)
        return self._order_factors([group.log_prob(part) for group, part in parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density with respect to the product of the factors' measures, nats."""
        return self.log_prob_per_factor(value).sum(dim=-1)

    def entropy(self) -> Tensor:
        """The sum of the factors' entropies, nats, shape batch_shape."""
        return self.per_factor(lambda group: group.entropy()).sum(dim=-1)

    def kl_per_factor(self, other: ProductDistribution) -> Tensor:
        """KL(self, other) of each factor, nats, shape (*batch_shape, factors).

        Raises:
            ValueError: if the two are not grouped alike.
        """
        if self.positions != other.positions:
            raise ValueError("KL per factor needs two products over the same factors")
        pairs = zip(self.groups, other.groups, strict=True)
        return self._order_factors([kl_divergence(mine, its) for mine, its in pairs])

    def rsample_and_kl(self, other: ProductDistribution) -> tuple[Tensor, Tensor]:
        """One sample and KL(self, other) of each factor, as a training step needs both.

        Returns:
            Shapes (*batch_shape, ambient) and (*batch_shape, factors), nats.

        Raises:
            ValueError: if the two are not grouped alike.
        """
        return self.rsample(), self.kl_per_factor(other)

    def _join(self, parts: list[Tensor]) -> Tensor:
        flat = _side_by_side([part.flatten(-2) for part in parts])
        order = _to_user_order(self.positions, self._ambients, flat.device)
        return flat if order is None else flat[..., order]

    def _order_factors(self, parts: list[Tensor]) -> Tensor:
        joined = _side_by_side(parts)
        order = _to_user_order(self.positions, (1,) * len(parts), joined.device)
        return joined if order is None else joined[..., order]


def _side_by_side(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


@cached_constant
def _to_user_order(
    positions: _Slots, widths: tuple[int, ...], device: torch.device
) -> Tensor | None:
    """Where in the groups' concatenation each entry in the factors' order is; None if in place."""
    starts: dict[int, tuple[int, int]] = {}
    offset = 0
    for places, width in zip(positions, widths, strict=True):
        for place in places:
            starts[place] = (offset, width)
            offset += width
    order = [
        start + i
        for start, width in (starts[place] for place in sorted(starts))
        for i in range(width)
    ]
    if order == list(range(offset)):
        return None
    return torch.tensor(order, device=device)


@register_kl(ProductDistribution, ProductDistribution)  # type: ignore[untyped-decorator]
def _kl_product_product(p: ProductDistribution, q: ProductDistribution) -> Tensor:
    return p.kl_per_factor(q).sum(dim=-1)
