"""Half the angle between a mean direction and a sample, for spheres of any families."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sxvae_export.polar_angle import POLAR_ANGLES, Dilation, PolarAngle
from sxvae_runtime.factors import Factor


class HalfAngles(nn.Module):
    """Samples of sin(t / 2)^2 for the polar angle t on each of several spheres, from noise.

    Args:
        spheres: the factors, each a sphere.
    """

    stretch: Tensor
    order: Tensor

    def __init__(self, spheres: Sequence[Factor]) -> None:
        super().__init__()
        laws = [POLAR_ANGLES[sphere.family] for sphere in spheres]
        dilated = [i for i, law in enumerate(laws) if isinstance(law, Dilation)]
        tabulated = [i for i in range(len(spheres)) if i not in dilated]
        self.polar_angle = PolarAngle([spheres[i] for i in tabulated]) if tabulated else None
        stretch = [
            law.rate / (sphere.ambient - 1)
            for law, sphere in zip(laws, spheres, strict=True)
            if isinstance(law, Dilation)
        ]
        self.is_mixed = bool(tabulated and dilated)
        buffers = {
            "tabulated": torch.tensor(tabulated, dtype=torch.int64),
            "dilated": torch.tensor(dilated, dtype=torch.int64),
            "stretch": torch.tensor(stretch, dtype=torch.float64),
            "order": torch.tensor(tabulated + dilated).argsort(),
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, concentration: Tensor, uniform: Tensor, apart: Tensor) -> Tensor:
        """Squared sines, float64, shape (batch, spheres).

        Args:
            concentration: k >= 0, shape (batch, spheres).
            uniform: numbers in [0, 1], shape (batch, spheres).
            apart: the squared sine of half the angle to a uniform direction, float64, shape (batch,
                spheres).
        """
        parts: list[Tensor] = []
        if self.polar_angle is not None:
            angle = self.polar_angle(
                *(self._of("tabulated", each) for each in (concentration, uniform))
            )
            # Older versions of onnxruntime have a sine for float64, but no cosine.
            parts.append((angle / 2).sin().square())
        if self.stretch.numel():
            square = self._of("dilated", apart)
            growth = self.stretch * self._of("dilated", concentration).double()
            parts.append(square / (1 + growth * (1 - square)))
        if not self.is_mixed:
            return parts[0]
        return torch.cat(parts, dim=-1).index_select(-1, self.order)

    def _of(self, name: str, value: Tensor) -> Tensor:
        """The columns of the spheres that are tabulated or dilated."""
        return value.index_select(-1, self.get_buffer(name)) if self.is_mixed else value
