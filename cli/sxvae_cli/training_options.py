"""The options of a training, in the groups in which the help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sxvae import config
from sxvae_runtime import factors
from sxvae_runtime.families import NORMAL, SPHERICAL_FAMILIES

_TRAINING = config.TrainingSettings()
_DATA = config.DataSettings()
_MODEL = config.ModelSettings(input_shape=(1, 1, 1))  # the shape comes from the data

# The groups, in the order of the help.
_SPACE = "Latent space"
_NETWORKS = "Networks and likelihood"
_IMAGES = "Data"
_OBJECTIVE = "Objective"
_OPTIMISATION = "Optimisation"
_VALIDATION = "Validation and early stopping"
_RUN = "Run"


def as_text(value: object) -> str:
    """A setting as the command line takes it: lists with commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


ZDims = Annotated[
    str | None,
    typer.Option(
        help="Each factor's dimension, with commas.",
        show_default=as_text(_MODEL.z_dims),
        rich_help_panel=_SPACE,
    ),
]
Distribution = Annotated[
    str | None,
    typer.Option(
        help=f"The posterior's family: {', '.join(SPHERICAL_FAMILIES)} or {NORMAL} (a Euclidean "
        "factor); one for all, or one for each factor, with commas.",
        show_default=as_text(_MODEL.distribution),
        rich_help_panel=_SPACE,
    ),
]
Covariance = Annotated[
    factors.Covariance | None,
    typer.Option(
        help="Of normal factors: one standard deviation, one for each coordinate, or a "
        "Cholesky factor.",
        show_default=_MODEL.covariance,
        rich_help_panel=_SPACE,
    ),
]
LearnRadius = Annotated[
    bool | None,
    typer.Option(
        "--learn-radius/--no-learn-radius",
        help="Scale the decoder's input by a learned radius for each sphere.",
        show_default=False,
        rich_help_panel=_SPACE,
    ),
]

HDims = Annotated[
    str | None,
    typer.Option(
        help="Widths of an MLP encoder's layers, mirrored in an MLP decoder.",
        show_default=as_text(_MODEL.hidden_dims),
        rich_help_panel=_NETWORKS,
    ),
]
Encoder = Annotated[
    config.Network | None,
    typer.Option(
        help="The encoder: fully connected layers, or gated convolutions.",
        show_default=_MODEL.encoder,
        rich_help_panel=_NETWORKS,
    ),
]
Decoder = Annotated[
    config.Network | None,
    typer.Option(
        help="The same choice for the decoder.",
        show_default=_MODEL.decoder,
        rich_help_panel=_NETWORKS,
    ),
]
Likelihood = Annotated[
    config.Likelihood | None,
    typer.Option(
        help="Of pixels: binary, real, or of 256 levels.",
        show_default=_MODEL.likelihood,
        rich_help_panel=_NETWORKS,
    ),
]
GaussianScale = Annotated[
    str | None,
    typer.Option(
        metavar="FLOAT|learned",
        help="The standard deviation of a Gaussian likelihood's pixels, at least 0.01.",
        show_default=str(_MODEL.gaussian_scale),
        rich_help_panel=_NETWORKS,
    ),
]

Dataset = Annotated[
    str | None,
    typer.Option(
        help="A data set's name, or the path of your own: .npy, .npz, .safetensors or a folder "
        "of images.",
        show_default=_DATA.dataset,
        rich_help_panel=_IMAGES,
    ),
]
ChannelsLast = Annotated[
    bool | None,
    typer.Option(
        "--channels-last/--no-channels-last",
        help="Your arrays are (n, H, W, C).",
        show_default=False,
        rich_help_panel=_IMAGES,
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N|H,W",
        help="Resize the images of a folder.",
        show_default="as they are",
        rich_help_panel=_IMAGES,
    ),
]
SplitSeed = Annotated[
    int | None,
    typer.Option(
        help="Of the division of your own images into train, validation and test.",
        show_default=str(_DATA.split_seed),
        rich_help_panel=_IMAGES,
    ),
]
Binarization = Annotated[
    config.Binarization | None,
    typer.Option(
        help="Grey training images become binary anew each time (dynamic) or once (fixed); "
        "none takes images that are binary already.",
        show_default=_DATA.binarization,
        rich_help_panel=_IMAGES,
    ),
]

Beta = Annotated[
    float | None,
    typer.Option(
        help="The KL's weight after warm-up.",
        show_default=str(_TRAINING.beta),
        rich_help_panel=_OBJECTIVE,
    ),
]
KlWarmup = Annotated[
    int | None,
    typer.Option(
        help="Epochs over which the KL's weight grows from 0; 0 for none.",
        show_default=str(_TRAINING.kl_warmup),
        rich_help_panel=_OBJECTIVE,
    ),
]
KlFreeze = Annotated[
    int | None,
    typer.Option(
        help="Epochs before warm-up in which the KL's weight is 0.",
        show_default=str(_TRAINING.kl_freeze),
        rich_help_panel=_OBJECTIVE,
    ),
]
KlTarget = Annotated[
    float | None,
    typer.Option(
        help="Hold each image's weighted KL near this, nats.",
        show_default=str(_TRAINING.kl_target),
        rich_help_panel=_OBJECTIVE,
    ),
]
TrainSamples = Annotated[
    int | None,
    typer.Option(
        help="Posterior samples an image; above 1 the importance-weighted bound is trained.",
        show_default=str(_TRAINING.train_samples),
        rich_help_panel=_OBJECTIVE,
    ),
]

Epochs = Annotated[
    int | None,
    typer.Option(
        help="Passes over the training images.",
        show_default=str(_TRAINING.epochs),
        rich_help_panel=_OPTIMISATION,
    ),
]
Lr = Annotated[
    float | None,
    typer.Option(
        help="Adam's learning rate.", show_default=str(_TRAINING.lr), rich_help_panel=_OPTIMISATION
    ),
]
LrSchedule = Annotated[
    config.LearningRateSchedule | None,
    typer.Option(
        help="The learning rate stays, or falls as a cosine towards 0.",
        show_default=_TRAINING.lr_schedule,
        rich_help_panel=_OPTIMISATION,
    ),
]
MaxGradNorm = Annotated[
    float | None,
    typer.Option(
        help="Scale larger gradients down to this norm.",
        show_default="no limit",
        rich_help_panel=_OPTIMISATION,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Images a step.", show_default=str(_TRAINING.batch_size), rich_help_panel=_OPTIMISATION
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="Of all chance.", show_default=str(_TRAINING.seed), rich_help_panel=_OPTIMISATION
    ),
]
MaxRestarts = Annotated[
    int | None,
    typer.Option(
        help="How often a loss or gradient that is not finite sends training back to the last "
        "good epoch.",
        show_default=str(_TRAINING.max_restarts),
        rich_help_panel=_OPTIMISATION,
    ),
]

ValEvery = Annotated[
    int | None,
    typer.Option(
        help="Epochs between validations.",
        show_default=str(_TRAINING.val_every),
        rich_help_panel=_VALIDATION,
    ),
]
ValLogLikelihood = Annotated[
    int | None,
    typer.Option(
        help="Importance samples of the log-likelihood at each validation; 0 for none.",
        show_default=str(_TRAINING.val_log_likelihood),
        rich_help_panel=_VALIDATION,
    ),
]
BurnIn = Annotated[
    int | None,
    typer.Option(
        help="Epochs before the best model is chosen and early stopping counts.",
        show_default=str(_TRAINING.burn_in),
        rich_help_panel=_VALIDATION,
    ),
]
LookAhead = Annotated[
    int | None,
    typer.Option(
        help="Epochs without a better validation ELBO after which training stops.",
        show_default=str(_TRAINING.look_ahead),
        rich_help_panel=_VALIDATION,
    ),
]
MinImprovement = Annotated[
    float | None,
    typer.Option(
        help="Nats by which the validation ELBO must rise to count as better.",
        show_default=str(_TRAINING.min_improvement),
        rich_help_panel=_VALIDATION,
    ),
]

Config = Annotated[
    Path | None,
    typer.Option(
        help="Take the settings of this config.json; options beside it come first.",
        rich_help_panel=_RUN,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        metavar="RUN", help="Go on with a run, by its folder or name.", rich_help_panel=_RUN
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="The run's name.", show_default="<dataset>-<space>-<UTC time>", rich_help_panel=_RUN
    ),
]
SaveEvery = Annotated[
    int | None,
    typer.Option(
        help="Epochs between writes of all that resuming needs.",
        show_default=str(_TRAINING.save_every),
        rich_help_panel=_RUN,
    ),
]
EvalSamples = Annotated[
    int | None,
    typer.Option(
        help="Importance samples of the test figures at the end; 0 leaves them out.",
        show_default=str(_TRAINING.eval_samples),
        rich_help_panel=_RUN,
    ),
]
SampleEvery = Annotated[
    int | None,
    typer.Option(
        help="Epochs between pictures under samples/; 0 for none.",
        show_default=str(_TRAINING.sample_every),
        rich_help_panel=_RUN,
    ),
]
Tensorboard = Annotated[
    bool | None,
    typer.Option(
        "--tensorboard/--no-tensorboard",
        help="Log the metrics for TensorBoard too.",
        show_default=False,
        rich_help_panel=_RUN,
    ),
]
