"""Which factors say nothing of the image, and what can be done about it. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sxvae.kernels.constants import CONCENTRATION_FLOOR
from sxvae_runtime.factors import Factor

# A factor is active if its mutual information with the image is above this, in nats.
ACTIVE_INFORMATION = 0.1
# A mean concentration so near its floor is at the floor.
_NEAR_FLOOR = 0.01
# What tells whether a factor has collapsed.
_TOLD = ("mutual_information", "concentration_per_factor")
# A sentence names so many factors; there may be thousands.
_MOST_NAMED = 5


def collapsed_factors(
    information: Sequence[float], concentration: Sequence[float | None]
) -> list[bool]:
    """Whether each factor has collapsed.

    Args:
        information: the mutual information of each factor with the image, nats.
        concentration: the mean concentration of each; None for a Euclidean factor.
    """
    return [
        value <= ACTIVE_INFORMATION or is_at_floor(k)
        for value, k in zip(information, concentration, strict=True)
    ]


def collapsed_in(metrics: Mapping[str, Any] | None, factors: int) -> tuple[int, ...]:
    """The indices, from 0, of the factors that have collapsed, as stored metrics say.

    Args:
        metrics: what `Evaluation.as_dict` gave once; an older version's has no such key.
        factors: their number.
    """
    if metrics is None:
        return ()
    found = [metrics.get(key) for key in ("collapsed", *_TOLD)]
    if not all(isinstance(each, list) and len(each) == factors for each in found):
        return ()
    return tuple(index for index, value in enumerate(metrics["collapsed"]) if value is True)


def is_at_floor(concentration: float | None) -> bool:
    """Whether a mean concentration is at its floor; None, of a Euclidean factor, never is."""
    return concentration is not None and abs(concentration - CONCENTRATION_FLOOR) <= _NEAR_FLOOR


def collapse_sentence(
    factors: Sequence[Factor], metrics: Mapping[str, Any], free_bits: float = 0
) -> str | None:
    """One sentence on the factors that have collapsed and what to try; None if there are none.

    Factors are counted from 1, as in pictures.

    Args:
        factors: of the model's space.
        metrics: of the model, as `Evaluation.as_dict` gives them.
        free_bits: with which it was trained.
    """
    collapsed = collapsed_in(metrics, len(factors))
    if not collapsed:
        return None
    told = [_told(factors[index], index, metrics) for index in collapsed[:_MOST_NAMED]]
    if more := len(collapsed) - len(told):
        told.append(f"{more} more have collapsed")
    return (
        f"{_listed(told)}; try --free-bits {2 * free_bits or 0.5:g}, a smaller space or a longer "
        "--kl-warmup"
    )


def _told(factor: Factor, index: int, metrics: Mapping[str, Any]) -> str:
    """Why a factor has collapsed, in words."""
    information, concentration = (metrics[key][index] for key in _TOLD)
    floor = ""
    if is_at_floor(concentration):
        floor = f" and its concentration at its floor, {CONCENTRATION_FLOOR:g}"
    return (
        f"factor {index + 1} ({factor.name}) has collapsed: its mutual information is "
        f"{max(information, 0):.2f} nat{floor}"
    )


def _listed(parts: Sequence[str]) -> str:
    """With semicolons, and "and" before the last."""
    return ", and ".join(["; ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
