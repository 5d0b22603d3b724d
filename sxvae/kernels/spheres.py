"""One group of spheres of `posterior`: samples, KL to the uniform distribution, and gradients."""

from __future__ import annotations

import numpy as np

from sxvae.kernels import beta, wood
from sxvae.kernels.activation import differentiate_spheres, read_spheres
from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.constants import POWER_SPHERICAL, SPHERICAL_CAUCHY
from sxvae.kernels.gradients import differentiate
from sxvae.kernels.partition_table import interpolate
from sxvae.kernels.placement import place
from sxvae.kernels.records import COLUMN, OFFSET, SPHERE_NUMBERS
from sxvae.kernels.spherical_cauchy import differentiate_spherical_cauchy, draw_spherical_cauchy

_draw_beta, _draw_wood = beta.draw_cosines, wood.draw_cosines


@compiled
def _parts(work: Array, rows: int, ambient: int) -> tuple[Array, Array, Array]:
    """The parts of `work`: two arrays of vectors (rows, p), and the numbers (6, rows)."""
    size = rows * ambient
    return (
        work[:size].reshape(rows, ambient),
        work[size : 2 * size].reshape(rows, ambient),
        work[2 * size :].reshape(SPHERE_NUMBERS, rows),
    )


@compiled
def draw_on_spheres(
    family: int,
    ambient: int,
    raw: Array,
    factors: Array,
    table: Array,
    start: float,
    cell: float,
    seed: int,
    noise: Array,
    work: Array,
    z: Array,
    kl: Array,
) -> bool:
    """Fill in one sample of each posterior of a group, and its KL to the uniform distribution.

    Args:
        family: its number in `constants`.
        ambient: p.
        raw: the head's outputs, shape (images, outputs).
        factors: the group's records.
        table: of the KL, as for `interpolate`.
        start: as for `interpolate`.
        cell: as for `interpolate`.
        seed: of the cosines' random streams.
        noise: tangent directions of any length, brought to length 1 in place, shape (rows, p - 1);
            standard normal numbers of shape (rows, p) for spherical Cauchy samples.
        work: filled: mean directions; samples, or the directions that spherical Cauchy samples were
            moved from; and the numbers of `records`.
        z: the group's coordinates are filled, shape (images, ambient).
        kl: the group's columns are filled, nats, shape (images, factors of all groups).

    Returns:
        Whether all concentrations are finite; otherwise nothing is complete.
    """
    rows = len(noise)
    loc, vectors, numbers = _parts(work, rows, ambient)
    k, one_minus_cosine, one_plus_cosine, moments = numbers[0], numbers[1], numbers[2], numbers[3:]
    read_spheres(raw, factors, loc, k)
    x = vectors
    if family == SPHERICAL_CAUCHY:
        x = np.empty_like(vectors)
        if draw_spherical_cauchy(loc, k, noise, vectors, x) >= 0:
            return False
    else:
        if family == POWER_SPHERICAL:
            invalid = _draw_beta(k, ambient, seed, 0, one_minus_cosine, one_plus_cosine)
        else:
            invalid = _draw_wood(k, ambient, seed, 0, one_minus_cosine, one_plus_cosine)
        if invalid >= 0:
            return False
        place(loc, 0, one_minus_cosine, one_plus_cosine, noise, x)
    interpolate(k, table, start, cell, moments)
    for row in range(rows):
        image, factor = divmod(row, len(factors))
        kl[image, factors[factor, COLUMN]] = moments[0, row]
        for j in range(ambient):
            z[image, factors[factor, OFFSET] + j] = x[row, j]
    return True


@compiled
def differentiate_samples_on_spheres(
    family: int,
    ambient: int,
    by_z: Array,
    by_kl: Array,
    raw: Array,
    factors: Array,
    noise: Array,
    work: Array,
    nodes: Array,
    weights: Array,
    depth: float,
    by_raw: Array,
) -> None:
    """Fill in the gradients with respect to a group's outputs.

    Args:
        family: as for `draw_on_spheres`, like all that is not explained.
        ambient: p.
        by_z: the gradient with respect to the samples, shape (images, ambient).
        by_kl: the gradient with respect to the KL, shape (images, factors of all groups).
        raw: the head's outputs.
        factors: the group's records.
        noise: as `draw_on_spheres` left it.
        work: as `draw_on_spheres` left it.
        nodes: of the quadrature on [0, 1].
        weights: of the nodes.
        depth: of the quadrature, as in `implicit`.
        by_raw: the group's columns are filled, shape (images, outputs).
    """
    rows = len(noise)
    loc, vectors, numbers = _parts(work, rows, ambient)
    k, one_minus_cosine, one_plus_cosine, moments = numbers[0], numbers[1], numbers[2], numbers[3:]
    by_x, by_loc, by_k = np.empty_like(loc), np.zeros_like(loc), np.zeros_like(k)
    for row in range(rows):
        image, factor = divmod(row, len(factors))
        for j in range(ambient):
            by_x[row, j] = by_z[image, factors[factor, OFFSET] + j]
    if family == SPHERICAL_CAUCHY:
        differentiate_spherical_cauchy(by_x, loc, k, vectors, by_loc, by_k)
    else:
        differentiate(
            family,
            0,
            by_x,
            one_minus_cosine,
            one_plus_cosine,
            noise,
            loc,
            k,
            moments[1],
            nodes,
            weights,
            depth,
            by_loc,
            by_k,
        )
    differentiate_spheres(by_loc, by_k, by_kl, raw, factors, loc, k, moments[2], by_raw)
