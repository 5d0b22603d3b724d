"""What the fused operation's compiled functions read of a space, and the noise that they need."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.distributions.geometry import uniform_directions_of_any_length
from sxvae.distributions.sampling.implicit import derivative_type, quadrature
from sxvae.kernels.constants import NORMAL_DIAGONAL, NORMAL_FULL, NORMAL_SINGLE
from sxvae.kernels.records import GROUP_FIELDS, SPHERE_NUMBERS
from sxvae.models.fused_families import FUSED_FAMILIES, FusedFamily
from sxvae.models.parameters import head_layout
from sxvae.randomness import fresh_seed
from sxvae.spaces import ProductSpace

Array = NDArray[Any]

_NORMALS = {"single": NORMAL_SINGLE, "diagonal": NORMAL_DIAGONAL, "full": NORMAL_FULL}


class FusedGroup(NamedTuple):
    """Factors that share family and dimension.

    Attributes:
        family: None if they are normal.
        number: the family's or covariance's number in `sxvae.kernels.constants`.
        ambient: the length of a factor's vector.
        indices: of the factors.
        noise: how many random numbers a row takes beside its cosine.
        kept: how many numbers are kept of a row for the gradients.
    """

    family: FusedFamily | None
    number: int
    ambient: int
    indices: tuple[int, ...]
    noise: int
    kept: int


class Plan(NamedTuple):
    """The arguments of `kernels.posterior` that depend on the space and the type alone.

    Attributes:
        groups: what Python has to know of them.
        records: of the groups, as `kernels.records` says, shape (groups, fields).
        factors: the factors' records, shape (factors, 3).
        tables: the groups' coefficients, shape (groups, cells, coefficients).
        start: the logarithm of the tables' lowest concentration.
        cell: their cells' width.
        nodes: of the groups' quadratures, side by side.
        weights: of the nodes.
        depths: of the groups' quadratures.
        noise: how many random numbers an image takes.
        kept: how many numbers are kept of an image.
    """

    groups: tuple[FusedGroup, ...]
    records: NDArray[np.int64]
    factors: NDArray[np.int64]
    tables: Array
    start: float
    cell: float
    nodes: Array
    weights: Array
    depths: Array
    noise: int
    kept: int


@functools.lru_cache(maxsize=16)  # a plan takes 0.4 MB for each group
def plan(space: ProductSpace, dtype: torch.dtype) -> Plan:
    """The plan for a space whose families can be fused, for outputs of a type."""
    groups = _groups(space)
    quadratures = [_quadrature(group, dtype) for group in groups]
    tables = [None if each.family is None else each.family.table(each.ambient) for each in groups]
    known = [table for table in tables if table is not None]
    coefficients = [table.on(torch.device("cpu")).numpy() for table in known]
    none = np.zeros_like(coefficients[0]) if known else np.zeros((0, 0))
    remaining = iter(coefficients)
    records = _records(groups, [len(nodes) for nodes, _, _ in quadratures])
    return Plan(
        groups,
        records,
        _factor_records(space, groups),
        np.stack([none if table is None else next(remaining) for table in tables]),
        known[0].start if known else 0.0,
        known[0].cell if known else 1.0,
        np.concatenate([nodes for nodes, _, _ in quadratures]),
        np.concatenate([weights for _, weights, _ in quadratures]),
        np.array([depth for _, _, depth in quadratures]),
        sum(len(group.indices) * group.noise for group in groups),
        sum(len(group.indices) * group.kept for group in groups),
    )


def draw_noise(plan: Plan, batch: int, dtype: torch.dtype) -> tuple[Tensor, NDArray[np.int64]]:
    """Random numbers from PyTorch's generator, in the order in which the distributions draw them.

    Returns:
        The noise of all images, group by group, and for each group a seed or 0.
    """
    noise, seeds = [], np.zeros(len(plan.groups), dtype=np.int64)
    for number, group in enumerate(plan.groups):
        shape = batch * len(group.indices), group.noise
        if group.family is not None and group.family.has_cosines:
            seeds[number] = fresh_seed()
            noise.append(uniform_directions_of_any_length(shape, dtype))
        else:
            noise.append(torch.randn(shape, dtype=dtype))
    if len(noise) == 1:
        return noise[0].view(-1), seeds
    return torch.cat([each.view(-1) for each in noise]), seeds


def _groups(space: ProductSpace) -> tuple[FusedGroup, ...]:
    groups = []
    for (name, dim), indices in space.groups.items():
        if name == "normal":
            number = _NORMALS[space.covariance]
            groups.append(FusedGroup(None, number, dim, indices, noise=dim, kept=2 * dim))
        else:
            family, ambient = FUSED_FAMILIES[name], dim + 1
            noise = dim if family.has_cosines else ambient
            kept = 2 * ambient + SPHERE_NUMBERS
            groups.append(FusedGroup(family, family.number, ambient, indices, noise, kept))
    return tuple(groups)


def _quadrature(group: FusedGroup, dtype: torch.dtype) -> tuple[Array, Array, float]:
    """Nodes, weights and depth; no nodes where the cosines' derivatives need none."""
    if group.family is None or not group.family.has_cosines:
        return np.zeros(0), np.zeros(0), 0.0
    log_singular = group.family.log_singular
    like = torch.empty((), dtype=dtype)
    wanted = derivative_type(like, group.ambient, log_singular=log_singular)
    return quadrature(wanted, log_singular)


def _records(groups: tuple[FusedGroup, ...], nodes: list[int]) -> NDArray[np.int64]:
    records = np.zeros((len(groups), GROUP_FIELDS), dtype=np.int64)
    first = noise_before = kept_before = node = 0
    for record, group, count in zip(records, groups, nodes, strict=True):
        factors = len(group.indices)
        noise, kept = factors * group.noise, factors * group.kept
        record[:4] = group.number, group.ambient, factors, first
        record[4:8] = noise, noise_before, kept, kept_before
        record[8:] = node, count
        first, node = first + factors, node + count
        noise_before, kept_before = noise_before + noise, kept_before + kept
    return records


def _factor_records(space: ProductSpace, groups: tuple[FusedGroup, ...]) -> NDArray[np.int64]:
    parameters = head_layout(space).parameters
    return np.array(
        [
            (space.factors[index].offset, index, parameters[index])
            for group in groups
            for index in group.indices
        ],
        dtype=np.int64,
    )
