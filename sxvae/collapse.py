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
        value <= ACTIVE_INFORMATION or _is_at_floor(k)
        for value, k in zip(information, concentration, strict=True)
    ]


def collapsed_in(metrics: Mapping[str, Any] | None, factors: int) -> tuple[int, ...]:
    """The indices, from 0, of the factors that have collapsed, as stored metrics say.

    Args:
        metrics: what `Evaluation.as_dict` gave once; an older version's has no such key.
        factors: their number.
    """
    collapsed = None if metrics is None else metrics.get("collapsed")
    if not isinstance(collapsed, list) or len(collapsed) != factors:
        return ()
    return tuple(index for index, value in enumerate(collapsed) if value is True)


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
    shown = collapsed[:_MOST_NAMED]
    names = [f"{index + 1} ({factors[index].name})" for index in shown]
    values = [f"{max(metrics['mutual_information'][index], 0):.2f}" for index in shown]
    if more := len(collapsed) - len(shown):
        names.append(f"{more} more")
        values.append("so on")
    are_many = len(collapsed) > 1
    what = f"{'factors' if are_many else 'factor'} {_listed(names)} {'have' if are_many else 'has'}"
    whose = "their mutual information is" if are_many else "its mutual information is"
    floor = [index for index in shown if _is_at_floor(metrics["concentration_per_factor"][index])]
    at_floor = ""
    if floor:
        every = "their concentration" if are_many else "its concentration"
        which = "" if len(floor) == len(collapsed) else f" of {_listed([str(i + 1) for i in floor])}"
        at_floor = f", and {every}{which} at its floor of {CONCENTRATION_FLOOR:g}"
    more_bits = f"--free-bits {free_bits * 2 if free_bits else 0.5:g}"
    return (
        f"{what} collapsed: {whose} {_listed(values)} nat{at_floor}; try {more_bits}, a smaller "
        "space or a longer --kl-warmup"
    )


def _is_at_floor(concentration: float | None) -> bool:
    return concentration is not None and abs(concentration - CONCENTRATION_FLOOR) <= _NEAR_FLOOR


def _listed(words: Sequence[str]) -> str:
    """With commas, and "and" before the last."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
