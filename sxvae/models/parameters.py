"""The posterior's parameters: where they lie among the head's outputs, and their activation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from sxvae.distributions.constants import cached_constant
from sxvae.kernels.constants import CONCENTRATION_FLOOR, SCALE_FLOOR
from sxvae.spaces import PosteriorParameters, ProductSpace


@dataclass(frozen=True)
class HeadLayout:
    """The outputs of the head's layer: loc, then concentrations, then scales.

    Attributes:
        loc: directions of any length and means, in the coordinates of a latent vector.
        concentration: one number for each sphere, before softplus.
        scale: the free numbers of each normal factor's scale: m (m + 1) / 2 for full covariance,
            whose Cholesky factor has zeros above its diagonal.
        scale_sources: for each entry of `PosteriorParameters.scale` the index of its output within
            `scale`; for an entry that is always 0 the index behind the last output.
        scale_positive: for each entry of `PosteriorParameters.scale` whether it must be positive: a
            standard deviation, or a Cholesky factor's diagonal.
        parameters: for each factor the index of the output for its concentration, or of the first
            for its scale.
        size: the number of outputs.
    """

    loc: slice
    concentration: slice
    scale: slice
    scale_sources: tuple[int, ...]
    scale_positive: tuple[bool, ...]
    parameters: tuple[int, ...]
    size: int

    @property
    def parts(self) -> tuple[slice, slice, slice]:
        """The three slices, in order."""
        return self.loc, self.concentration, self.scale


@functools.lru_cache
def head_layout(space: ProductSpace) -> HeadLayout:
    """The layout for a space."""
    sources: list[int | None] = []
    positive: list[bool] = []
    outputs = 0
    concentrations = space.ambient + len(space.spheres)
    parameters = {index: space.ambient + number for number, index in enumerate(space.spheres)}
    for index in space.euclidean:
        factor = space.factors[index]
        parameters[index] = concentrations + outputs
        for entry in range(factor.scales):
            row, column = divmod(entry, factor.dim) if factor.covariance == "full" else (0, 0)
            sources.append(outputs if column <= row else None)
            positive.append(column == row)
            outputs += column <= row
    size = concentrations + outputs
    return HeadLayout(
        loc=slice(0, space.ambient),
        concentration=slice(space.ambient, concentrations),
        scale=slice(concentrations, size),
        scale_sources=tuple(outputs if source is None else source for source in sources),
        scale_positive=tuple(positive),
        parameters=tuple(parameters[index] for index in range(len(space.factors))),
        size=size,
    )


def activate(outputs: Tensor, space: ProductSpace) -> PosteriorParameters:
    """Mean directions of length 1, concentrations above 1 and positive scales.

    Args:
        outputs: of the head's layer, shape (..., outputs).
        space: whose posterior's they are.
    """
    layout = head_layout(space)
    return PosteriorParameters(
        space.normalize(outputs[..., layout.loc]),
        concentration(outputs[..., layout.concentration]),
        _scale(outputs[..., layout.scale], space),
    )


def concentration(outputs: Tensor) -> Tensor:
    """Concentrations from the layer's outputs for them. `kernels.activation` computes the same."""
    return softplus(outputs) + CONCENTRATION_FLOOR


def _scale(outputs: Tensor, space: ProductSpace) -> Tensor:
    """The scales of the normal factors, shape (..., scales), from the layer's outputs for them."""
    if not space.scales:
        return outputs
    # Tensors made while a graph is traced are of no use to later calls.
    make = _scale_entries if torch.compiler.is_compiling() else _kept_scale_entries
    sources, positive = make(space, outputs.device)
    entries = pad(outputs, (0, 1)).index_select(-1, sources)
    return torch.where(positive, softplus(entries) + SCALE_FLOOR, entries)


def _scale_entries(space: ProductSpace, device: torch.device) -> tuple[Tensor, Tensor]:
    """`HeadLayout.scale_sources` and `scale_positive` as tensors."""
    layout = head_layout(space)
    sources = torch.tensor(layout.scale_sources, device=device)
    return sources, torch.tensor(layout.scale_positive, device=device)


_kept_scale_entries = cached_constant(_scale_entries)
