"""The settings of a run: validated once, stored with every checkpoint. Needs no PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sxvae.errors import ConfigError
from sxvae.spaces import ProductSpace

Binarization = Literal["dynamic", "fixed", "none"]
SplitName = Literal["train", "validation", "test"]

_Positive = Annotated[int, Field(gt=0)]
_NotNegative = Annotated[int, Field(ge=0)]
_Seed = Annotated[int, Field(ge=0, lt=2**63)]
_Settings = TypeVar("_Settings", bound="Settings")


class Settings(BaseModel):
    """What all settings share: they do not change and must be finite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers see the fields as the constructor's arguments

        def __init__(self, **values: Any) -> None:  # noqa: ANN401
            unknown = sorted(set(values) - set(type(self).model_fields))
            if unknown:
                raise ConfigError(f"there is no setting {unknown[0]!r}")
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError(_one_sentence(error)) from None

    @classmethod
    def read(cls: type[_Settings], values: object) -> _Settings:
        """Rebuild settings from parsed JSON, whose unknown keys are ignored.

        Raises:
            ConfigError: naming the setting that is missing or can't be.
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise ConfigError(f"settings are named values, not {values!r}")
        known: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if name in values:
                if isinstance(kind, type) and issubclass(kind, Settings):
                    known[name] = kind.read(values[name])
                else:
                    known[name] = values[name]
        return cls(**known)


def _one_sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if "error" in first.get("ctx", {}):  # raised by a validator of ours, which says it all
        return str(first["ctx"]["error"])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {first['msg'][:1].lower() + first['msg'][1:]}, not {first['input']!r}"


class ModelSettings(Settings):
    """What rebuilds a model.

    Attributes:
        z_dims: each sphere's dimension.
        distribution: each factor's family, or one for all.
        input_shape: (C, H, W).
        hidden_dims: the encoder's widths.
        own_networks: whether encoder and decoder are the user's own; then there are no widths.
        likelihood: p(x given z).
    """

    z_dims: tuple[int, ...] = (4, 4)
    distribution: tuple[str, ...] = ("vmf",)
    input_shape: tuple[_Positive, _Positive, _Positive]
    hidden_dims: tuple[_Positive, ...] = (256, 128)
    own_networks: bool = False
    likelihood: Literal["bernoulli"] = "bernoulli"

    @model_validator(mode="after")
    def _describes_a_model(self) -> Self:
        _ = self.space  # raises where there is no such space
        if not self.hidden_dims and not self.own_networks:
            raise ConfigError("hidden_dims: at least one width is needed")
        return self

    @property
    def space(self) -> ProductSpace:
        """The product space that `z_dims` and `distribution` say."""
        return ProductSpace(self.z_dims, self.distribution)


class DataSettings(Settings):
    """What loads a data set again.

    Attributes:
        dataset: its name in the registry, or "custom" for tensors handed over in Python.
        binarization: how grey images become the binary ones that a Bernoulli likelihood needs.
        data_dir: where downloaded data lie; None for the environment's or the user's cache folder.
    """

    dataset: str = "digits"
    binarization: Binarization = "dynamic"
    data_dir: str | None = None


class TrainingSettings(Settings):
    """How a model is trained.

    Attributes:
        epochs: passes over the training images at most.
        lr: Adam's learning rate.
        batch_size: images a step.
        seed: of initial weights, order, binarisation and posterior draws.
        kl_warmup: epochs over which the KL's weight grows linearly to `beta`; 0 for none.
        beta: the KL's weight after warm-up.
        look_ahead: epochs without improvement of the validation ELBO after which training stops.
        burn_in: epochs before the best model is chosen and early stopping counts.
        min_improvement: nats by which the validation ELBO must rise to count as improved.
        eval_samples: importance samples for the test figures at the end; 0 leaves them out.
        sample_every: epochs between pictures under samples/; 0 for none.
    """

    epochs: _Positive = 200
    lr: Annotated[float, Field(gt=0)] = 1e-3
    batch_size: _Positive = 100
    seed: _Seed = 0
    kl_warmup: _NotNegative = 100
    beta: Annotated[float, Field(ge=0)] = 1.0
    look_ahead: _Positive = 50
    burn_in: _NotNegative = 100
    min_improvement: Annotated[float, Field(ge=0)] = 0.01
    eval_samples: _NotNegative = 500
    sample_every: _NotNegative = 0


class RunSettings(Settings):
    """All the settings of a run."""

    model: ModelSettings
    data: DataSettings
    training: TrainingSettings
