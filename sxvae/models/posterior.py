"""From features to the posterior's parameters, and from latent vectors to the decoder's input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sxvae.spaces import ProductSpace

# The standard deviations of normal posteriors stay above this, so that their density is bounded.
SCALE_FLOOR = 1e-4


class PosteriorParameters(NamedTuple):
    """What says q(z given x) for a batch of images.

    Attributes:
        loc: mean directions and means side by side, shape (batch, ambient).
        concentration: of each sphere, shape (batch, spheres).
        scale: of the normal factors, side by side, shape (batch, scales).
    """

    loc: Tensor
    concentration: Tensor
    scale: Tensor


class PosteriorHead(nn.Module):
    """From the encoder's features to mean directions, concentrations and scales.

    Args:
        features: the length of a feature vector.
        space: the product space.
    """

    def __init__(self, features: int, space: ProductSpace) -> None:
        super().__init__()
        self.space = space
        self.loc = nn.Linear(features, space.ambient)
        self.concentration = nn.Linear(features, len(space.spheres)) if space.spheres else None
        self.scale = ScaleHead(features, space) if space.scales else None

    def forward(self, features: Tensor) -> PosteriorParameters:
        """Map (batch, features) to parameters: concentrations > 1, positive scales."""
        none = features[..., :0]
        return PosteriorParameters(
            self.space.normalize(self.loc(features)),
            none if self.concentration is None else softplus(self.concentration(features)) + 1,
            none if self.scale is None else self.scale(features),
        )


class ScaleHead(nn.Module):
    """From features to normal posteriors' scales, as `Factor.scales` lays them out.

    Full covariance is a lower-triangular Cholesky factor with a positive diagonal.
    """

    sources: Tensor
    positive: Tensor

    def __init__(self, features: int, space: ProductSpace) -> None:
        super().__init__()
        sources, positive, outputs = [], [], 0
        for factor in (space.factors[place] for place in space.euclidean):
            for entry in range(factor.scales):
                row, column = divmod(entry, factor.dim) if factor.covariance == "full" else (0, 0)
                sources.append(outputs if column <= row else -1)
                positive.append(column == row)
                outputs += column <= row
        self.linear = nn.Linear(features, outputs)
        # Entry i of the scales is output sources[i] of the layer; -1 is the zero put behind them.
        self.register_buffer(
            "sources", torch.tensor([s % (outputs + 1) for s in sources]), persistent=False
        )
        self.register_buffer("positive", torch.tensor(positive), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, features) to (batch, scales)."""
        raw = nn.functional.pad(self.linear(features), (0, 1)).index_select(-1, self.sources)
        return torch.where(self.positive, softplus(raw) + SCALE_FLOOR, raw)


class LearnedRadius(nn.Module):
    """Scales each sphere's coordinates by a positive radius on their way into the decoder.

    The latent vector itself stays on the unit spheres. On a sphere of radius r both the prior's and
    the posterior's density are divided by r^m, so that KL and importance weights do not change:
    the radius is the decoder's alone.

    Args:
        space: the product space; its Euclidean coordinates pass as they are.
    """

    index: Tensor

    def __init__(self, space: ProductSpace) -> None:
        super().__init__()
        spheres = len(space.spheres)
        places = {place: i for i, place in enumerate(space.spheres)}
        index = [
            places.get(place, spheres)
            for place, factor in enumerate(space.factors)
            for _ in range(factor.ambient)
        ]
        self.log_radius = nn.Parameter(torch.zeros(spheres))
        self.register_buffer("index", torch.tensor(index), persistent=False)

    @property
    def radius(self) -> Tensor:
        """Each sphere's radius, shape (spheres,)."""
        return self.log_radius.exp()

    def forward(self, z: Tensor) -> Tensor:
        """Map (..., ambient) to the same shape."""
        return z * nn.functional.pad(self.radius, (0, 1), value=1.0)[self.index]
