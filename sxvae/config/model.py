"""The settings that a model is built from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sxvae.errors import ConfigError
from sxvae.model_size import refuse_a_model_too_large
from sxvae.setting_types import Size, Width, read_scale, read_widths
from sxvae.settings import NETWORKS, SPACE, Option, Settings
from sxvae.space_bounds import MOST_FACTORS
from sxvae.spaces import DEFAULT_COVARIANCE, ProductSpace
from sxvae_runtime.factors import Covariance
from sxvae_runtime.families import NORMAL, SPHERICAL_FAMILIES

# A Gaussian likelihood's standard deviation is at least this, so that its density is bounded. It is
# one number for all pixels: one for each would grow without bound on pixels that never change.
GAUSSIAN_SCALE_FLOOR = 0.01

Likelihood = Literal["bernoulli", "gaussian", "categorical"]
Network = Literal["mlp", "cnn"]


class ModelSettings(Settings):
    """The settings that a model is built from. Each `Option` says what its field means.

    Besides them, `input_shape` is (C, H, W) of an image, and `own_networks` says that encoder and
    decoder are custom modules, so that there are no widths.
    """

    z_dims: Annotated[
        tuple[int, ...],
        Field(max_length=MOST_FACTORS),
        Option("Dimensions m of the factors, with commas.", SPACE),
    ] = (4, 4)
    distribution: Annotated[
        tuple[str, ...],
        Field(max_length=MOST_FACTORS),
        Option(
            f"Family of the posterior: {', '.join(SPHERICAL_FAMILIES)} or {NORMAL} (a Euclidean "
            "factor). Give one for all factors, or one for each, with commas.",
            SPACE,
        ),
    ] = ("vmf",)
    covariance: Annotated[
        Covariance,
        Option(
            "Covariance of normal factors: one standard deviation (single), one for each "
            "coordinate (diagonal), or a Cholesky factor (full).",
            SPACE,
        ),
    ] = DEFAULT_COVARIANCE
    learn_radius: Annotated[
        bool, Option("Scale the decoder's input by a learned radius for each sphere.", SPACE)
    ] = False
    input_shape: tuple[Size, Size, Size]
    hidden_dims: Annotated[
        tuple[Width, ...],
        Field(max_length=1_000),
        BeforeValidator(read_widths),
        Option(
            "Widths of an MLP encoder's layers. An MLP decoder has them in reverse.",
            NETWORKS,
            flag="--h-dims",
        ),
    ] = (256, 128)
    encoder: Annotated[
        Network,
        Option("Kind of encoder: fully connected layers, or gated convolutions.", NETWORKS),
    ] = "mlp"
    decoder: Annotated[
        Network,
        Option("Kind of decoder: fully connected layers, or gated convolutions.", NETWORKS),
    ] = "mlp"
    own_networks: bool = False
    likelihood: Annotated[
        Likelihood,
        Option("Likelihood of the pixels: binary, real-valued, or of 256 levels.", NETWORKS),
    ] = "bernoulli"
    gaussian_scale: Annotated[
        Annotated[float, Field(ge=GAUSSIAN_SCALE_FLOOR)] | Literal["learned"],
        BeforeValidator(read_scale),
        Option(
            "Standard deviation of a Gaussian likelihood's pixels, at least "
            f"{GAUSSIAN_SCALE_FLOOR}, or learned.",
            NETWORKS,
            metavar="FLOAT|learned",
        ),
    ] = "learned"

    @model_validator(mode="after")
    def _describes_a_model(self) -> Self:
        space = self.space  # raises where there is no such space
        if not self.hidden_dims and not self.own_networks and "mlp" in (self.encoder, self.decoder):
            raise ConfigError("at least one width is needed", setting="hidden_dims")
        if self.covariance != DEFAULT_COVARIANCE and not space.euclidean:
            raise ConfigError(
                f"only normal factors have one, and {space} has none", setting="covariance"
            )
        if self.learn_radius and not space.spheres:
            raise ConfigError(
                f"only spheres have a radius, and {space} has none", setting="learn_radius"
            )
        if self.gaussian_scale != "learned" and self.likelihood != "gaussian":
            raise ConfigError(
                f"a {self.likelihood} likelihood has no scale", setting="gaussian_scale"
            )
        refuse_a_model_too_large(self)
        return self

    @property
    def space(self) -> ProductSpace:
        """The product space that `z_dims`, `distribution` and `covariance` say."""
        return ProductSpace(self.z_dims, self.distribution, self.covariance)
