"""The settings of a run: validated once, stored with every checkpoint. Needs no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sxvae.errors import ConfigError
from sxvae.spaces import DEFAULT_COVARIANCE, ProductSpace
from sxvae_runtime.factors import Covariance

# A Gaussian likelihood's standard deviation is at least this, so that its density is bounded. It is
# one number for all pixels: one for each would grow without bound on pixels that never change.
GAUSSIAN_SCALE_FLOOR = 0.01
# What decoding importance samples may take at a time, in MiB. More makes CPUs no faster: arrays
# above their caches, which the C library returns when they are freed, cost more than they save.
DECODING_MEMORY = 64

Binarization = Literal["dynamic", "fixed", "none"]
Likelihood = Literal["bernoulli", "gaussian", "categorical"]
LearningRateSchedule = Literal["constant", "cosine"]
Network = Literal["mlp", "cnn"]
SplitName = Literal["train", "validation", "test"]

ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")

_Positive = Annotated[int, Field(gt=0)]
_NotNegative = Annotated[int, Field(ge=0)]
_PositiveFloat = Annotated[float, Field(gt=0)]
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
    # A field of several types has the names of pydantic's own types behind its own.
    where = ".".join(str(part) for part in first["loc"] if "-" not in str(part))
    if first["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {first['msg'][:1].lower() + first['msg'][1:]}, not {first['input']!r}"


class ModelSettings(Settings):
    """What rebuilds a model.

    Attributes:
        z_dims: each factor's dimension.
        distribution: each factor's family, or one for all.
        covariance: of normal factors.
        learn_radius: whether each sphere has a learned radius that scales the decoder's input.
        input_shape: (C, H, W).
        hidden_dims: the widths of MLP encoders, mirrored in MLP decoders.
        encoder: the kind of network from images to features.
        decoder: the kind of network from latent vectors to images.
        own_networks: whether encoder and decoder are the user's own; then there are no widths.
        likelihood: p(x given z).
        gaussian_scale: the standard deviation of a Gaussian likelihood's pixels, at least 0.01, or
            "learned".
    """

    z_dims: tuple[int, ...] = (4, 4)
    distribution: tuple[str, ...] = ("vmf",)
    covariance: Covariance = DEFAULT_COVARIANCE
    learn_radius: bool = False
    input_shape: tuple[_Positive, _Positive, _Positive]
    hidden_dims: tuple[_Positive, ...] = (256, 128)
    encoder: Network = "mlp"
    decoder: Network = "mlp"
    own_networks: bool = False
    likelihood: Likelihood = "bernoulli"
    gaussian_scale: Annotated[float, Field(ge=GAUSSIAN_SCALE_FLOOR)] | Literal["learned"] = (
        "learned"
    )

    @model_validator(mode="after")
    def _describes_a_model(self) -> Self:
        space = self.space  # raises where there is no such space
        if not self.hidden_dims and not self.own_networks and "mlp" in (self.encoder, self.decoder):
            raise ConfigError("hidden_dims: at least one width is needed")
        if self.covariance != DEFAULT_COVARIANCE and not space.euclidean:
            raise ConfigError(f"covariance: only normal factors have one, and {space} has none")
        if self.learn_radius and not space.spheres:
            raise ConfigError(f"learn_radius: only spheres have a radius, and {space} has none")
        if self.gaussian_scale != "learned" and self.likelihood != "gaussian":
            raise ConfigError(f"gaussian_scale: a {self.likelihood} likelihood has no scale")
        return self

    @property
    def space(self) -> ProductSpace:
        """The product space that `z_dims`, `distribution` and `covariance` say."""
        return ProductSpace(self.z_dims, self.distribution, self.covariance)


class DataSettings(Settings):
    """What loads a data set again.

    Attributes:
        dataset: its name in the registry, the path of the user's own, or "custom" for tensors
            handed over in Python.
        binarization: how grey images become the binary ones that a Bernoulli likelihood needs;
            other likelihoods take them as they are, which is "none".
        data_dir: where downloaded data lie; None for the environment's or the user's cache folder.
        channels_last: whether arrays at a path are (n, H, W, C) instead of (n, C, H, W).
        image_size: (H, W) that images in a folder are resized to; None to take them as they are.
        split_seed: of the division of a path's images into train, validation and test.
        content_sha256: the hash of what was loaded from a path; None for named data sets.
    """

    dataset: str = "digits"
    binarization: Binarization = "dynamic"
    data_dir: str | None = None
    channels_last: bool = False
    image_size: tuple[_Positive, _Positive] | None = None
    split_seed: _Seed = 0
    content_sha256: str | None = None

    @property
    def label(self) -> str:
        """The data set's name, or its path's last part without an array's ending; for captions."""
        path = Path(self.dataset)
        return path.stem if path.suffix.lower() in ARRAY_SUFFIXES else path.name


class TrainingSettings(Settings):
    """How a model is trained.

    Attributes:
        epochs: passes over the training images at most.
        lr: Adam's learning rate.
        lr_schedule: "constant", or "cosine" from `lr` in the first epoch down towards 0.
        max_grad_norm: gradients of a larger norm are scaled down to it; None for no limit.
        batch_size: images a step.
        seed: of initial weights, order, binarisation and posterior draws.
        beta: the KL's weight after warm-up.
        kl_warmup: epochs over which the KL's weight grows linearly to `beta`; 0 for none.
        kl_freeze: epochs before that in which it is 0.
        kl_target: the loss has |weight * KL - target| for each image in place of weight * KL, nats;
            nothing while frozen.
        train_samples: posterior samples an image and step; above 1 the importance-weighted bound
            [4] takes the ELBO's place in the loss.
        val_every: epochs between validations; the last epoch has one always.
        val_log_likelihood: importance samples of the log-likelihood at each validation; 0 for none.
        look_ahead: epochs without improvement of the validation ELBO after which training stops.
        burn_in: epochs before the best model is chosen and early stopping counts.
        min_improvement: nats by which the validation ELBO must rise to count as improved.
        save_every: epochs between writes of `last`; the last epoch and an interruption write it
            always.
        max_restarts: how often training goes back to the last good epoch, with fresh chance, when a
            loss or gradient is not finite.
        eval_samples: importance samples for the test figures at the end; 0 leaves them out.
        sample_every: epochs between pictures under samples/; 0 for none.
        tensorboard: whether the metrics are also logged for TensorBoard.
    """

    epochs: _Positive = 200
    lr: _PositiveFloat = 1e-3
    lr_schedule: LearningRateSchedule = "constant"
    max_grad_norm: _PositiveFloat | None = None
    batch_size: _Positive = 100
    seed: _Seed = 0
    beta: Annotated[float, Field(ge=0)] = 1.0
    kl_warmup: _NotNegative = 100
    kl_freeze: _NotNegative = 0
    kl_target: Annotated[float, Field(ge=0)] = 0.0
    train_samples: _Positive = 1
    val_every: _Positive = 1
    val_log_likelihood: _NotNegative = 0
    look_ahead: _Positive = 50
    burn_in: _NotNegative = 100
    min_improvement: Annotated[float, Field(ge=0)] = 0.01
    save_every: _Positive = 1
    max_restarts: _NotNegative = 5
    eval_samples: _NotNegative = 500
    sample_every: _NotNegative = 0
    tensorboard: bool = False

    @model_validator(mode="after")
    def _has_one_objective(self) -> Self:
        if self.kl_target and self.train_samples > 1:
            raise ConfigError(
                "kl_target: the importance-weighted bound has no KL to hold at a target; leave out "
                "kl_target or train_samples"
            )
        return self


class RunSettings(Settings):
    """All the settings of a run."""

    model: ModelSettings
    data: DataSettings
    training: TrainingSettings
