"""The spherical families that the fused operation draws, and what it has to know of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sxvae.distributions import PowerSpherical, VonMisesFisher
from sxvae.distributions.exponential_family import partition_table
from sxvae.distributions.partition_table import PartitionTable
from sxvae.distributions.spherical_cauchy import kl_table
from sxvae.kernels.constants import POWER_SPHERICAL, SPHERICAL_CAUCHY, VON_MISES_FISHER


class FusedFamily(NamedTuple):
    """What the fused operation has to know of a spherical family.

    Attributes:
        number: the family's number in `sxvae.kernels.constants`.
        title: its name in errors.
        table: the table of its KL to the uniform distribution, by the p of R^p.
        has_cosines: whether a sample is a cosine, whose stream gets a seed, and a tangent
            direction; otherwise its noise is p standard normal numbers.
        log_singular: whether the statistic s of the density exp(k s) is infinite opposite to the
            mean direction; decides the quadrature of the cosines' derivatives.
    """

    number: int
    title: str
    table: Callable[[int], PartitionTable]
    has_cosines: bool = True
    log_singular: bool = False


FUSED_FAMILIES = {
    "vmf": FusedFamily(
        VON_MISES_FISHER, "von Mises-Fisher", partial(partition_table, VonMisesFisher)
    ),
    "power-spherical": FusedFamily(
        POWER_SPHERICAL,
        "power spherical",
        partial(partition_table, PowerSpherical),
        log_singular=True,
    ),
    "spherical-cauchy": FusedFamily(
        SPHERICAL_CAUCHY, "spherical Cauchy", kl_table, has_cosines=False
    ),
}
