"""How a model is trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sxvae.config.evaluation import EVALUATION_SAMPLES
from sxvae.errors import ConfigError
from sxvae.setting_types import NotNegative, Positive, PositiveFloat, Seed
from sxvae.settings import OBJECTIVE, OPTIMISATION, RUN, VALIDATION, Option, Settings

LearningRateSchedule = Literal["constant", "cosine"]


class TrainingSettings(Settings):
    """How a model is trained. Each `Option` says what its field means."""

    beta: Annotated[float, Field(ge=0), Option("Weight of the KL after warm-up.", OBJECTIVE)] = 1.0
    kl_warmup: Annotated[
        NotNegative,
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
        Option(
            "Importance samples of the log-likelihood at each validation; 0 for no log-likelihood.",
            VALIDATION,
        ),
    ] = 0
    burn_in: Annotated[
        NotNegative,
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
