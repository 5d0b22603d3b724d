"""Posterior samples and their KL from the head's outputs, as one operation for the CPU.

Between two matrix products a training step has a few hundred numbers to work on, and separate
PyTorch operations would spend most of their time on calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sxvae.distributions.constraints import check_concentrations
from sxvae.distributions.sampling.backend import runs_compiled
from sxvae.distributions.sampling.threads import in_blocks
from sxvae.distributions.transforms import is_transforming
from sxvae.errors import NumericalError
from sxvae.models.fused_families import FUSED_FAMILIES
from sxvae.models.fused_plan import FusedGroup, Plan, draw_noise, plan
from sxvae.models.parameters import activate, concentration, head_layout
from sxvae.spaces import ProductSpace

Array = NDArray[Any]

# Rows (an image's factor each) that a thread works on at a time.
_ROWS = 2_048
_FUSIBLE = {*FUSED_FAMILIES, "normal"}


def is_fusible(outputs: Tensor, space: ProductSpace) -> bool:
    """Whether `fused_sample_and_kl` can be used: on the CPU, for families that it knows."""
    is_plain = outputs.dtype in (torch.float32, torch.float64) and outputs.dim() == 2
    return is_plain and runs_compiled(outputs) and _FUSIBLE.issuperset(space.families)


def fused_sample_and_kl(outputs: Tensor, space: ProductSpace) -> tuple[Tensor, Tensor]:
    """One sample of each posterior, and the KL of each factor to the prior.

    Args:
        outputs: of the head's layer, as `HeadLayout` says, shape (batch, outputs).
        space: for which `is_fusible` holds.

    Returns:
        Shapes (batch, ambient) and (batch, factors), nats.

    Raises:
        NumericalError: if a concentration is not finite.
    """
    z, kl = _SampleAndKL.apply(outputs, space)
    return z, kl


class _SampleAndKL(torch.autograd.Function):
    """The fused operation: activation, sampling and KL."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (autograd's context has no public type)
        outputs: Tensor,
        space: ProductSpace,
    ) -> tuple[Tensor, Tensor]:
        ctx.space, ctx.generator = space, torch.get_rng_state()
        known, batch = plan(space, outputs.dtype), len(outputs)
        noise, seeds = draw_noise(known, batch, outputs.dtype)
        ctx.raw, ctx.noise = outputs.contiguous().numpy(), noise.numpy()
        ctx.work = np.empty(batch * known.kept)
        z = outputs.new_empty(batch, space.ambient)
        kl = outputs.new_empty(batch, len(space.factors))
        _draw(space, known, ctx.raw, seeds, ctx.noise, ctx.work, z.numpy(), kl.numpy())
        ctx.save_for_backward(outputs)
        return z, kl

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        if is_transforming():
            raise NotImplementedError(
                "torch.func.vmap can't be taken over the gradients of a posterior's fused sample: "
                "take it over the whole function instead"
            )
        (outputs,) = ctx.saved_tensors  # PyTorch checks here that `raw`, its memory, is unchanged
        if torch.is_grad_enabled():  # somebody wants second derivatives
            return _by_distributions(outputs, ctx.space, ctx.generator, grads), None
        by_z, by_kl = (gradient.detach().contiguous().numpy() for gradient in grads)
        by_outputs = np.empty_like(ctx.raw)
        known = plan(ctx.space, outputs.dtype)
        _differentiate(known, by_z, by_kl, ctx.raw, ctx.noise, ctx.work, by_outputs)
        return torch.from_numpy(by_outputs), None


def _by_distributions(
    outputs: Tensor, space: ProductSpace, generator: Tensor, grads: tuple[Tensor, ...]
) -> Tensor:
    """The gradient by the distributions, which can be differentiated again where theirs can."""
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator)
        posterior = space.posterior(*activate(outputs, space))
        again = posterior.rsample_and_kl(space.prior(dtype=outputs.dtype))
    (gradient,) = torch.autograd.grad(again, outputs, grads, create_graph=True)
    return gradient


def _draw(
    space: ProductSpace,
    known: Plan,
    raw: Array,
    seeds: NDArray[np.int64],
    noise: Array,
    work: Array,
    z: Array,
    kl: Array,
) -> None:
    """Fill in samples and KL, blocks of images in parallel.

    Raises:
        NumericalError: if a concentration is not finite.
    """
    from sxvae.kernels.posterior import draw

    invalid = []

    def task(images: slice) -> None:
        group = draw(
            raw[images],
            known.records,
            known.factors,
            known.tables,
            known.start,
            known.cell,
            seeds,
            len(raw),
            images.start,
            noise,
            work,
            z[images],
            kl[images],
        )
        if group >= 0:
            invalid.append(group)

    _in_blocks_of_images(len(raw), kl.shape[1], task)
    if invalid:
        _refuse(raw, known.groups[min(invalid)], space)


def _differentiate(
    known: Plan, by_z: Array, by_kl: Array, raw: Array, noise: Array, work: Array, by_raw: Array
) -> None:
    """Fill in the gradients with respect to the outputs, blocks of images in parallel."""
    from sxvae.kernels.posterior import differentiate_draw

    def task(images: slice) -> None:
        differentiate_draw(
            by_z[images],
            by_kl[images],
            raw[images],
            known.records,
            known.factors,
            known.nodes,
            known.weights,
            known.depths,
            len(raw),
            images.start,
            noise,
            work,
            by_raw[images],
        )

    _in_blocks_of_images(len(raw), by_kl.shape[1], task)


def _in_blocks_of_images(images: int, factors: int, task: Callable[[slice], None]) -> None:
    """Blocks by the batch alone: results do not depend on the thread count."""
    blocks = max(1, math.ceil(images * factors / _ROWS))
    in_blocks(images, math.ceil(images / blocks), task)


def _refuse(raw: Array, group: FusedGroup, space: ProductSpace) -> None:
    """Raise the error for a group of which a concentration is not finite."""
    assert group.family is not None
    parameters = head_layout(space).parameters
    columns = [parameters[index] for index in group.indices]
    title = group.family.title
    check_concentrations(concentration(torch.from_numpy(raw[:, columns])), title, group.ambient)
    raise NumericalError(f"{title} sampling in R^{group.ambient} did not end")
