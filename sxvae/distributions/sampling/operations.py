"""What traces keep whole: operations that depend on numbers drawn, or on tables made in advance.

`torch.compile` and `torch.export` can't look into a rejection sampler, whose course depends on the
numbers drawn, and need not look into a table. A graph that has these operations can be run where
sxvae is imported. `torch.func.vmap` has a rule for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from sxvae.distributions.partition_table import PartitionMoments
from sxvae.distributions.sampling.cosines import Cosines


class Family(Protocol):
    """What the operations need of a distribution family in R^p, at any concentrations."""

    def _draw_cosines(self, concentration: Tensor) -> Cosines: ...

    def _partition_moments(self, concentration: Tensor) -> PartitionMoments: ...

    def _cosine_derivatives(self, concentration: Tensor, cosines: Cosines) -> Tensor: ...


# For each family's name: from the ambient dimension p to the family.
FAMILIES: dict[str, Callable[[int], Family]] = {}


@torch.library.custom_op("sxvae::draw_cosines", mutates_args=())
def draw_cosines(concentration: Tensor, seed: Tensor, family: str, ambient: int) -> Tensor:
    """1 - t and 1 + t of one sample for each concentration, shape (2, ...), float64."""
    device = concentration.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(int(seed))
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(seed))
        return torch.stack(FAMILIES[family](ambient)._draw_cosines(concentration.contiguous()))


@draw_cosines.register_fake
def _shape(concentration: Tensor, seed: Tensor, family: str, ambient: int) -> Tensor:
    return concentration.new_empty((2, *concentration.shape), dtype=torch.float64)


@draw_cosines.register_vmap
def _draw_for_each(
    info: Any,  # noqa: ANN401 (it has no public type)
    in_dims: tuple[int | None, ...],
    concentration: Tensor,
    seed: Tensor,
    family: str,
    ambient: int,
) -> tuple[Tensor, int]:
    """One seed for all gives each entry what it would draw alone; one for each, other draws."""
    dim, seed_dim = in_dims[:2]
    if dim is None:
        entries = concentration.expand(info.batch_size, *concentration.shape)
    else:
        entries = concentration.movedim(dim, 0)
    if seed_dim is None:
        drawn = [draw_cosines(each, seed, family, ambient) for each in entries]
        return torch.stack(drawn, dim=1), 1
    return draw_cosines(entries, seed.movedim(seed_dim, 0)[0], family, ambient), 1


@torch.library.custom_op("sxvae::partition_moments", mutates_args=())
def partition_moments(concentration: Tensor, family: str, ambient: int) -> Tensor:
    """The `PartitionMoments`, shape (..., 3), float64."""
    moments = FAMILIES[family](ambient)._partition_moments(concentration)
    return torch.stack(moments, dim=-1)


@partition_moments.register_fake
def _shape_of_moments(concentration: Tensor, family: str, ambient: int) -> Tensor:
    return concentration.new_empty((*concentration.shape, 3), dtype=torch.float64)


@partition_moments.register_vmap
def _moments_of_all(
    info: Any,  # noqa: ANN401
    in_dims: tuple[int | None, ...],
    concentration: Tensor,
    family: str,
    ambient: int,
) -> tuple[Tensor, int]:
    return partition_moments(concentration.movedim(in_dims[0] or 0, 0), family, ambient), 0


@torch.library.custom_op("sxvae::cosine_derivatives", mutates_args=())
def cosine_derivatives(
    concentration: Tensor, one_minus: Tensor, one_plus: Tensor, family: str, ambient: int
) -> Tensor:
    """d(1 - t)/dk of samples at fixed probability, of the arguments' shape, float64."""
    cosines = Cosines(one_minus, one_plus)
    return FAMILIES[family](ambient)._cosine_derivatives(concentration, cosines)


@cosine_derivatives.register_fake
def _shape_of_derivatives(
    concentration: Tensor, one_minus: Tensor, one_plus: Tensor, family: str, ambient: int
) -> Tensor:
    return torch.empty_like(one_minus)


@cosine_derivatives.register_vmap
def _derivatives_of_all(
    info: Any,  # noqa: ANN401
    in_dims: tuple[int | None, ...],
    concentration: Tensor,
    one_minus: Tensor,
    one_plus: Tensor,
    family: str,
    ambient: int,
) -> tuple[Tensor, int]:
    arguments = (concentration, one_minus, one_plus)
    batched = [
        each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
        for each, dim in zip(arguments, in_dims[:3], strict=True)
    ]
    return cosine_derivatives(*batched, family, ambient), 0
