"""p(x given z): from the decoder's outputs to a distribution over images."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent


def bernoulli_likelihood(logits: Tensor) -> Distribution:
    """Independent binary pixels.

    Args:
        logits: log-odds of a pixel being 1, shape (..., C, H, W).

    Returns:
        A distribution with event shape (C, H, W); `mean` is the pixels' probabilities. Its
        `log_prob` is a density for images of 0 and 1 only, in nats per image.
    """
    return Independent(Bernoulli(logits=logits, validate_args=False), 3, validate_args=False)
