"""p(x given z): from the decoder's outputs to a distribution over images.

Each is a module that maps outputs to a properly normalised distribution with event shape (C, H, W),
so that what it reports is a log-likelihood, in nats per image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import softplus

from sxvae.config import GAUSSIAN_SCALE_FLOOR, ModelSettings
from sxvae.distributions.geometry import Shape
from sxvae.distributions.normal import CastDistribution
from sxvae.distributions.precision import REDUCED_TYPES, in_full_precision, promoted
from sxvae.distributions.transforms import is_transforming
from sxvae.errors import DataError

LEVELS = 256
_INITIAL_GAUSSIAN_SCALE = 0.3
# exp(-50) is less than the last bit of 50 in float64.
_LINEAR_ABOVE = 50.0


class PixelLikelihood(nn.Module):
    """The base class of the likelihoods.

    Attributes:
        outputs_per_channel: how many numbers the decoder gives for a channel of a pixel.
        arrays_at_a_time: the largest number of arrays of the outputs' size, the outputs included,
            that exist while a log-likelihood is computed.
    """

    outputs_per_channel = 1
    arrays_at_a_time = 4

    def outputs_shape(self, input_shape: Sequence[int]) -> tuple[int, int, int]:
        """The shape of the decoder's outputs for images (C, H, W)."""
        channels, height, width = input_shape
        return channels * self.outputs_per_channel, height, width

    def forward(self, outputs: Tensor) -> Distribution:
        """The distribution over images, batch shape (...), for outputs (..., *outputs_shape)."""
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Refuse images whose `log_prob` would not be a log-probability.

        Raises:
            DataError: if there are such.
        """


class BernoulliPixels(PixelLikelihood):
    """Independent binary pixels; the decoder gives their log-odds."""

    def forward(self, outputs: Tensor) -> Distribution:
        """`mean` is the pixels' probabilities of being 1."""
        return BernoulliImage(outputs, validate_args=False)

    def check(self, x: Tensor) -> None:
        """Images must hold 0 and 1 only."""
        if not bool(((x == 0) | (x == 1)).all()):
            raise DataError(
                "a Bernoulli log-likelihood needs images of 0 and 1 only: binarise them, as "
                "ImageData.for_evaluation does"
            )


class _LogitsImage(Distribution):
    """What distributions over images share that are given by log-odds, (..., C, ..., H, W)."""

    _axes = 3  # of an image's log-odds

    def __init__(self, logits: Tensor, validate_args: bool | None = None) -> None:
        self.logits = logits
        channels, *_, height, width = logits.shape[-self._axes :]
        event_shape = torch.Size((channels, height, width))
        super().__init__(logits.shape[: -self._axes], event_shape, validate_args)

    def expand(self, batch_shape: Shape, _instance: Self | None = None) -> Self:
        """The same distribution with its batch shape expanded."""
        logits = self.logits.expand(*batch_shape, *self.logits.shape[-self._axes :])
        new = type(self)(logits, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def dtype(self) -> torch.dtype:
        """The log-odds' type, which results have."""
        return self.logits.dtype

    def promoted(self) -> Self:
        """The same distribution in float32, if it is of a reduced type."""
        return type(self)(promoted(self.logits), self._validate_args)


class BernoulliImage(_LogitsImage):
    """Independent binary pixels, as `Independent(Bernoulli(logits=logits), 3)` has them.

    Making one and its `log_prob` take a fraction of the time, which a training step has little of.

    Args:
        logits: log-odds of the pixels' being 1, shape (..., C, H, W).
        validate_args: check values in `log_prob`; torch.distributions' default if None.
    """

    arg_constraints: ClassVar = {"logits": constraints.independent(constraints.real, 3)}
    support = constraints.independent(constraints.boolean, 3)

    @property
    @in_full_precision
    def mean(self) -> Tensor:
        """Shape (*batch_shape, C, H, W), in [0, 1]."""
        return self.logits.sigmoid()

    @property
    def mode(self) -> Tensor:
        """The likelier value of each pixel, shape (*batch_shape, C, H, W)."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    @in_full_precision
    def variance(self) -> Tensor:
        """Shape (*batch_shape, C, H, W)."""
        return self.logits.sigmoid() * (-self.logits).sigmoid()

    @in_full_precision
    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw images, shape (*sample_shape, *batch_shape, C, H, W)."""
        with torch.no_grad():
            shape = self._extended_shape(torch.Size(sample_shape))
            return torch.bernoulli(self.mean.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum over the pixels, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a value is neither 0 nor 1.
        """
        if self._validate_args:
            self._validate_sample(value)
        logits, pixels = promoted(self.logits), promoted(value)
        if is_transforming():
            terms = pixels * logits - softplus(logits, threshold=_LINEAR_ABOVE)
            return terms.sum(dim=(-1, -2, -3)).to(_common_type(self.logits, value))
        log_p: Tensor = _BernoulliLogProb.apply(logits, pixels)
        return log_p.to(_common_type(self.logits, value))

    @in_full_precision
    def entropy(self) -> Tensor:
        """Nats, shape batch_shape."""
        pixels = softplus(self.logits, threshold=_LINEAR_ABOVE) - self.logits * self.mean
        return pixels.sum(dim=(-1, -2, -3))


class _BernoulliLogProb(torch.autograd.Function):
    """The sum over an image's pixels of value * logits - log(1 + exp(logits)).

    The logarithm is max(logits, 0) - log sigmoid(|logits|): its operations work on several numbers
    at once, which `log1p` in PyTorch's own loss and softplus does not, and would take seven times
    as long. What it loses is at most the last digit of 1 for each pixel.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401 (as in PyTorch)
        ctx.save_for_backward(logits, value)
        shape = torch.broadcast_shapes(logits.shape, value.shape)
        terms = logits.expand(shape).abs().sigmoid_().log_()
        terms.addcmul_(logits, value).sub_(logits.clamp_min(0))
        return terms.flatten(-3).sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        logits, value = ctx.saved_tensors
        grad = grads[0][..., None, None, None]
        by_logits, by_value = None, None
        if ctx.needs_input_grad[0]:
            by_logits = (value - logits.sigmoid()) * grad
            if by_logits.shape != logits.shape:
                by_logits = by_logits.sum_to_size(logits.shape)
        if ctx.needs_input_grad[1]:
            by_value = (logits * grad).sum_to_size(value.shape)
        return by_logits, by_value


class GaussianPixels(PixelLikelihood):
    """Independent normal pixels around the logistic function of the decoder's outputs.

    The density is that of pixel values scaled to [0, 1], over the whole real line.

    Args:
        scale: the standard deviation of every pixel, or "learned": one number for all of them,
            above `GAUSSIAN_SCALE_FLOOR`.
    """

    arrays_at_a_time = 10
    fixed_scale: Tensor

    def __init__(self, scale: float | Literal["learned"]) -> None:
        super().__init__()
        if scale == "learned":
            start = math.log(_INITIAL_GAUSSIAN_SCALE - GAUSSIAN_SCALE_FLOOR)
            self.log_scale = nn.Parameter(torch.tensor(start))
        else:
            self.register_buffer("fixed_scale", torch.tensor(float(scale)), persistent=False)

    @property
    def scale(self) -> Tensor:
        """The pixels' standard deviation, shape ()."""
        if "log_scale" in self._parameters:
            return self.log_scale.exp() + GAUSSIAN_SCALE_FLOOR
        return self.fixed_scale

    def forward(self, outputs: Tensor) -> Distribution:
        """`mean` lies in (0, 1)."""
        scale = self.scale
        dtype = torch.promote_types(outputs.dtype, scale.dtype)
        mean = promoted(outputs.to(dtype)).sigmoid()
        pixels = Normal(mean, promoted(scale.to(dtype)), validate_args=False)
        images = Independent(pixels, 3, validate_args=False)
        return CastDistribution(images, dtype) if dtype in REDUCED_TYPES else images


class CategoricalPixels(PixelLikelihood):
    """Independent pixels of 256 levels for each channel; the decoder gives their log-odds."""

    outputs_per_channel = LEVELS

    def forward(self, outputs: Tensor) -> Distribution:
        """Outputs (..., C * 256, H, W): a channel's 256 levels lie side by side."""
        return CategoricalImage(outputs.unflatten(-3, (-1, LEVELS)), validate_args=False)


class CategoricalImage(_LogitsImage):
    """Independent pixels that take the values 0/255, 1/255, ..., 1.

    Args:
        logits: unnormalised log-probabilities of the levels, shape (..., C, 256, H, W).
        validate_args: check values in `log_prob`; torch.distributions' default if None.
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.independent(constraints.unit_interval, 3)

    _axes = 4

    @property
    @in_full_precision
    def mean(self) -> Tensor:
        """Shape (*batch_shape, C, H, W), in [0, 1]."""
        return (self.logits.softmax(dim=-3) * self._values[:, None, None]).sum(dim=-3)

    @property
    @in_full_precision
    def variance(self) -> Tensor:
        """Shape (*batch_shape, C, H, W)."""
        deviation = self._values[:, None, None] - self.mean.unsqueeze(-3)
        return (self.logits.softmax(dim=-3) * deviation**2).sum(dim=-3)

    @in_full_precision
    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw images, shape (*sample_shape, *batch_shape, C, H, W)."""
        with torch.no_grad():
            last = self.logits.movedim(-3, -1)
            levels = torch.distributions.Categorical(logits=last, validate_args=False)
            drawn: Tensor = levels.sample(torch.Size(sample_shape))
            return drawn.to(self.logits.dtype) / (LEVELS - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of the level nearest to each pixel, nats, shape (..., *batch_shape).

        Raises:
            ValueError: if `validate_args` is on and a value lies outside [0, 1].
        """
        if self._validate_args:
            self._validate_sample(value)
        levels = (promoted(value) * (LEVELS - 1)).round().long().unsqueeze(-3)
        batch = torch.broadcast_shapes(levels.shape[:-3], self.logits.shape[:-3])
        all_logits = promoted(self.logits)
        logits = all_logits.expand(*batch, *all_logits.shape[-3:])
        chosen = logits.gather(-3, levels.expand(*batch, *levels.shape[-3:])).squeeze(-3)
        log_p: Tensor = (chosen - all_logits.logsumexp(dim=-3)).sum(dim=(-1, -2, -3))
        return log_p.to(_common_type(self.logits, value))

    @in_full_precision
    def entropy(self) -> Tensor:
        """Nats, shape batch_shape."""
        log_p = self.logits.log_softmax(dim=-3)
        return -(log_p.exp() * log_p).sum(dim=(-1, -2, -3, -4))

    @property
    def _values(self) -> Tensor:
        return torch.linspace(0, 1, LEVELS, dtype=self.logits.dtype, device=self.logits.device)


def _common_type(logits: Tensor, value: Tensor) -> torch.dtype:
    """The type of a log-probability, as PyTorch promotes those of floating-point arguments."""
    if not value.is_floating_point():
        return logits.dtype
    return torch.promote_types(logits.dtype, value.dtype)


def pixel_likelihood(settings: ModelSettings) -> PixelLikelihood:
    """The likelihood that a model's settings name."""
    if settings.likelihood == "gaussian":
        return GaussianPixels(settings.gaussian_scale)
    return CategoricalPixels() if settings.likelihood == "categorical" else BernoulliPixels()
