"""From the posterior head's outputs to samples and KL, and back, compiled for the CPU.

A training step has only a few hundred numbers here, on which PyTorch would spend more time calling
operations than computing. So `draw` does all of it in one call, and `differentiate_draw` computes
all gradients in another. The arithmetic is that of `PosteriorHead`, the distributions and their KL
to the prior.

Both work on a block of images, one group of factors after the other, as `records` says. `draw`
keeps what the gradients need in `work`.
"""

from __future__ import annotations

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import NORMAL_SINGLE
from sxvae.kernels.normal import differentiate_normals, draw_normals
from sxvae.kernels.random_bits import STREAM
from sxvae.kernels.records import (
    AMBIENT,
    FACTORS,
    FAMILY,
    FIRST,
    NODE,
    NODES,
    NOISE,
    NOISE_BEFORE,
    WORK,
    WORK_BEFORE,
)
from sxvae.kernels.spheres import differentiate_samples_on_spheres, draw_on_spheres


@compiled
def _part(numbers: Array, batch: int, before: int, size: int, first: int, images: int) -> Array:
    """A block's numbers of one group, of those of all images and groups."""
    start = batch * before + first * size
    return numbers[start : start + images * size]


@compiled
def draw(
    raw: Array,
    groups: Array,
    factors: Array,
    tables: Array,
    start: float,
    cell: float,
    seeds: Array,
    batch: int,
    first: int,
    noise: Array,
    work: Array,
    z: Array,
    kl: Array,
) -> int:
    """One sample of each posterior for a block of images, and the KL of each to the prior.

    Args:
        raw: the head's outputs for the block, shape (images, outputs).
        groups: the groups' records.
        factors: the factors' records, group by group.
        tables: for each group the coefficients of its KL's `PartitionTable`.
        start: the logarithm of the tables' lowest concentration.
        cell: their cells' width.
        seeds: for each group the seed of its cosines' random streams, as for `draw_cosines`.
        batch: the number of all images.
        first: the index of the block's first image.
        noise: the random numbers of all images; tangent directions are brought to length 1.
        work: the block's part is filled, for all images.
        z: filled with the samples, shape (images, ambient).
        kl: filled with the KL, nats, shape (images, factors).

    Returns:
        The first group with a concentration that is not finite, or -1.
    """
    images = len(raw)
    for index in range(len(groups)):
        group = groups[index]
        family, ambient = group[FAMILY], group[AMBIENT]
        rows = images * group[FACTORS]
        own = factors[group[FIRST] : group[FIRST] + group[FACTORS]]
        kept = _part(work, batch, group[WORK_BEFORE], group[WORK], first, images)
        own_noise = _part(noise, batch, group[NOISE_BEFORE], group[NOISE], first, images)
        own_noise = own_noise.reshape(rows, group[NOISE] // group[FACTORS])
        if family >= NORMAL_SINGLE:
            halves = kept.reshape(2, rows, ambient)
            draw_normals(family, raw, own, own_noise, halves[0], halves[1], z, kl)
            continue
        seed = np.uint64(seeds[index]) + np.uint64(first * group[FACTORS]) * STREAM
        table = tables[index]
        on_spheres = table, start, cell, seed, own_noise, kept
        if not draw_on_spheres(family, ambient, raw, own, *on_spheres, z, kl):
            return index
    return -1


@compiled
def differentiate_draw(
    by_z: Array,
    by_kl: Array,
    raw: Array,
    groups: Array,
    factors: Array,
    nodes: Array,
    weights: Array,
    depths: Array,
    batch: int,
    first: int,
    noise: Array,
    work: Array,
    by_raw: Array,
) -> None:
    """The gradients with respect to the head's outputs for a block of images.

    Args:
        by_z: the gradient with respect to the samples, shape (images, ambient).
        by_kl: the gradient with respect to the KL, shape (images, factors).
        raw: as `draw` took it, like all that is not explained.
        groups: the groups' records.
        factors: the factors' records.
        nodes: of the groups' quadratures on [0, 1], side by side.
        weights: of the nodes.
        depths: for each group the depth of its quadrature, as in `implicit`.
        batch: the number of all images.
        first: the index of the block's first image.
        noise: as `draw` left it.
        work: as `draw` left it.
        by_raw: filled with the gradients, shape (images, outputs).
    """
    images = len(raw)
    for index in range(len(groups)):
        group = groups[index]
        family, ambient = group[FAMILY], group[AMBIENT]
        rows = images * group[FACTORS]
        own = factors[group[FIRST] : group[FIRST] + group[FACTORS]]
        kept = _part(work, batch, group[WORK_BEFORE], group[WORK], first, images)
        own_noise = _part(noise, batch, group[NOISE_BEFORE], group[NOISE], first, images)
        own_noise = own_noise.reshape(rows, group[NOISE] // group[FACTORS])
        if family >= NORMAL_SINGLE:
            halves = kept.reshape(2, rows, ambient)
            kept_of_scales = halves[0], halves[1]
            differentiate_normals(family, by_z, by_kl, raw, own, own_noise, *kept_of_scales, by_raw)
            continue
        end = group[NODE] + group[NODES]
        differentiate_samples_on_spheres(
            family,
            ambient,
            by_z,
            by_kl,
            raw,
            own,
            own_noise,
            kept,
            nodes[group[NODE] : end],
            weights[group[NODE] : end],
            depths[index],
            by_raw,
        )
