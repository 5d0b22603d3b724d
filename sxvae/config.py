"""The settings of a run: validated once, stored with every checkpoint. Needs no PyTorch.

A setting is declared once, here: `sxvae train` makes an option of every field that has an `Option`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sxvae.errors import ConfigError
from sxvae.model_size import refuse_a_model_too_large
from sxvae.setting_types import (
    NotNegative,
    PathText,
    Positive,
    PositiveFloat,
    Seed,
    Size,
    Text,
    Width,
    read_scale,
    read_size,
    read_widths,
)
from sxvae.settings import (
    DATA,
    NETWORKS,
    OBJECTIVE,
    OPTIMISATION,
    RUN,
    SPACE,
    VALIDATION,
    Option,
    Settings,
)
from sxvae.space_bounds import MOST_FACTORS
from sxvae.spaces import DEFAULT_COVARIANCE, ProductSpace
from sxvae_runtime.factors import Covariance
from sxvae_runtime.families import NORMAL, SPHERICAL_FAMILIES
from sxvae_runtime.levels import MOST_LEVELS

# A Gaussian likelihood's standard deviation is at least this, so that its density is bounded. It is
# one number for all pixels: one for each would grow without bound on pixels that never change.
GAUSSIAN_SCALE_FLOOR = 0.01
# What decoding importance samples may take at a time, in MiB. More makes CPUs no faster: arrays
# above their caches, which the C library returns when they are freed, cost more than they save.
DECODING_MEMORY = 64
# Importance samples per image of an evaluation, unless the user says another number.
EVALUATION_SAMPLES = 500

Binarization = Literal["dynamic", "fixed", "none"]
Likelihood = Literal["bernoulli", "gaussian", "categorical"]
LearningRateSchedule = Literal["constant", "cosine"]
Network = Literal["mlp", "cnn"]
SplitName = Literal["train", "validation", "test"]

# The name of data sets that are handed over in Python.
CUSTOM = "custom"

ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")


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


class DataSettings(Settings):
    """The settings that a data set is loaded from. Each `Option` says what its field means.

    Besides them, `data_dir` is the folder of downloaded data (None for the environment's or the
    user's cache folder), `content_sha256` the hash of what was loaded from a path (None for named
    data sets), and `class_names` what the classes 0, 1, 2, ... are called, where the data set says
    it. `dataset` is "custom" for tensors handed over in Python.
    """

    dataset: Annotated[
        PathText,
        Option(
            "Name of a data set, or the path of your own: .npy, .npz, .safetensors or a folder of "
            "images.",
            DATA,
        ),
    ] = "digits"
    binarization: Annotated[
        Binarization,
        Option(
            "How grey training images become binary for a Bernoulli likelihood: anew each time "
            "(dynamic), once (fixed), or not at all because they are binary already (none).",
            DATA,
        ),
    ] = "dynamic"
    data_dir: PathText | None = None
    channels_last: Annotated[
        bool | None,
        Option(
            "Whether your arrays are (n, H, W, C) or (n, C, H, W).",
            DATA,
            shown_default="no, and doubtful shapes are refused",
        ),
    ] = None
    levels: Annotated[
        Annotated[int, Field(ge=2, le=MOST_LEVELS)] | None,
        Option(
            "Levels of your images' pixels, if they are whole numbers: of N levels 0 is black and "
            "N-1 is white.",
            DATA,
            shown_default="256 for uint8, 65536 for uint16; doubtful values are refused",
        ),
    ] = None
    images_key: Annotated[
        str | None,
        Option(
            "Name of the images in your file of arrays.", DATA, shown_default="x or a usual name"
        ),
    ] = None
    labels_key: Annotated[
        str | None,
        Option(
            "Name of the labels in your file of arrays; none leaves them out.",
            DATA,
            shown_default="y or a usual name",
        ),
    ] = None
    image_size: Annotated[
        tuple[Size, Size] | None,
        BeforeValidator(read_size),
        Option(
            "Size that the images of a folder are resized to.",
            DATA,
            metavar="N|H,W",
            shown_default="as they are",
        ),
    ] = None
    split_seed: Annotated[
        Seed,
        Option(
            "Random seed of the split of your own images into train, validation and test.", DATA
        ),
    ] = 0
    content_sha256: Text | None = None
    class_names: tuple[Text, ...] | None = None

    @property
    def label(self) -> str:
        """The data set's name, or its path's last part without an array's ending; for captions."""
        path = Path(self.dataset)
        return path.stem if path.suffix.lower() in ARRAY_SUFFIXES else path.name


class TrainingSettings(Settings):
    """How a model is trained. Each `Option` says what its field means."""

    beta: Annotated[float, Field(ge=0), Option("Weight of the KL after warm-up.", OBJECTIVE)] = 1.0
    kl_warmup: Annotated[
        NotNegative,
        PathText,
        Option("Epochs over which the weight of the KL grows from 0; 0 for none.", OBJECTIVE),
    ] = 100
    kl_freeze: Annotated[
        NotNegative, Option("Epochs before warm-up in which the weight of the KL is 0.", OBJECTIVE)
    ] = 0
    kl_target: Annotated[
        float,
        Field(ge=0),
        Option(
            "Minimise |weight * KL - target| for each image in place of weight * KL, in nats; 0 "
            "for no target.",
            OBJECTIVE,
        ),
    ] = 0.0
    free_bits: Annotated[
        float,
        Field(ge=0),
        Option(
            "Nats below which the mean KL of each factor over a batch costs nothing, so that no "
            "factor is pressed into saying nothing; 0 for none.",
            OBJECTIVE,
        ),
    ] = 0.0
    train_samples: Annotated[
        Positive,
        Option(
            "Posterior samples per image. Above 1, the importance-weighted bound is trained in "
            "place of the ELBO.",
            OBJECTIVE,
        ),
    ] = 1
    epochs: Annotated[
        Positive, Option("Largest number of passes over the training images.", OPTIMISATION)
    ] = 200
    lr: Annotated[PositiveFloat, Option("Learning rate of Adam.", OPTIMISATION)] = 1e-3
    lr_schedule: Annotated[
        LearningRateSchedule,
        Option("Whether the learning rate is constant or falls as a cosine to 0.", OPTIMISATION),
    ] = "constant"
    max_grad_norm: Annotated[
        PositiveFloat | None,
        Option(
            "Scale gradients with a larger norm down to this norm.",
            OPTIMISATION,
            shown_default="no limit",
        ),
    ] = None
    batch_size: Annotated[Positive, Option("Batch size.", OPTIMISATION)] = 100
    seed: Annotated[
        Seed,
        Option(
            "Random seed of initialisation, shuffling, binarisation and sampling.", OPTIMISATION
        ),
    ] = 0
    max_restarts: Annotated[
        NotNegative,
        PathText,
        Option(
            "How often training may go back to the last good epoch, with fresh random numbers, "
            "when a loss or gradient is not finite.",
            OPTIMISATION,
        ),
    ] = 5
    val_every: Annotated[
        Positive,
        Option("Epochs between validations; the last epoch always has one.", VALIDATION),
    ] = 1
    val_log_likelihood: Annotated[
        NotNegative,
        PathText,
        Option(
            "Importance samples of the log-likelihood at each validation; 0 for no log-likelihood.",
            VALIDATION,
        ),
    ] = 0
    burn_in: Annotated[
        NotNegative,
        PathText,
        Option(
            "Epochs before the best model is chosen and early stopping starts to count.", VALIDATION
        ),
    ] = 100
    look_ahead: Annotated[
        Positive,
        Option("Epochs without a better validation ELBO after which training stops.", VALIDATION),
    ] = 50
    min_improvement: Annotated[
        float,
        Field(ge=0),
        Option("Nats by which the validation ELBO must rise to count as better.", VALIDATION),
    ] = 0.01
    save_every: Annotated[
        Positive,
        Option(
            "Epochs between writes of the checkpoint that training resumes from; the last epoch "
            "and Ctrl-C always write it.",
            RUN,
        ),
    ] = 1
    eval_samples: Annotated[
        NotNegative,
        PathText,
        Option("Importance samples of the evaluation at the end; 0 for no evaluation.", RUN),
    ] = EVALUATION_SAMPLES
    sample_every: Annotated[
        NotNegative, Option("Epochs between pictures under samples/; 0 for none.", RUN)
    ] = 0
    tensorboard: Annotated[bool, Option("Also log the metrics for TensorBoard.", RUN)] = False

    @model_validator(mode="after")
    def _has_one_objective(self) -> Self:
        if self.kl_target and self.train_samples > 1:
            raise ConfigError(
                "the importance-weighted bound has no KL to hold at a target: leave the target "
                "out, or train with one posterior sample",
                setting="kl_target",
            )
        if self.free_bits and self.train_samples > 1:
            raise ConfigError(
                "the importance-weighted bound has no KL that could have free bits: leave them "
                "out, or train with one posterior sample",
                setting="free_bits",
            )
        return self


class RunSettings(Settings):
    """All the settings of a run."""

    model: ModelSettings
    data: DataSettings
    training: TrainingSettings
