"""The KL from and to the uniform distribution, and the batch shape of every KL on spheres."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl

from sxvae.distributions.hyperspherical_uniform import HypersphericalUniform
from sxvae.distributions.precision import in_full_precision
from sxvae.distributions.rotational import RotationallySymmetric


def common_batch_shape(p: Distribution, q: Distribution) -> torch.Size:
    """The batch shape of KL(p, q).

    Raises:
        ValueError: if the distributions are not on the same sphere.
    """
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL between distributions on S^{p.event_shape[0] - 1} and S^{q.event_shape[0] - 1} is "
            "not defined"
        )
    shape: torch.Size = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    return shape


@register_kl(RotationallySymmetric, HypersphericalUniform)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_rotationally_symmetric_uniform(
    p: RotationallySymmetric, q: HypersphericalUniform
) -> Tensor:
    return p._kl_to_uniform().to(p.dtype).expand(common_batch_shape(p, q))


@register_kl(HypersphericalUniform, RotationallySymmetric)  # type: ignore[untyped-decorator]
@in_full_precision
def _kl_uniform_rotationally_symmetric(
    p: HypersphericalUniform, q: RotationallySymmetric
) -> Tensor:
    return q._kl_from_uniform().to(q.dtype).expand(common_batch_shape(p, q))


@register_kl(HypersphericalUniform, HypersphericalUniform)  # type: ignore[untyped-decorator]
def _kl_uniform_uniform(p: HypersphericalUniform, q: HypersphericalUniform) -> Tensor:
    return torch.zeros(common_batch_shape(p, q), dtype=p.dtype, device=p.device)
