"""Restarts: training goes back to the last good epoch when a number is not finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sxvae.errors import NumericalError
from sxvae.models.vae import ProductSpaceVAE


class NonFiniteError(NumericalError):
    """A step or an epoch with a number that is not finite.

    Attributes:
        details: what is known of it, for restarts.jsonl.
    """

    def __init__(self, cause: str, details: dict[str, Any]) -> None:
        super().__init__(cause)
        self.details = details


def refuse_non_finite(metrics: dict[str, Any], model: ProductSpaceVAE) -> None:
    """Refuse an epoch that left metrics or weights that are not finite.

    Raises:
        NonFiniteError: if it did.
    """
    bad = [name for name, value in metrics.items() if not np.isfinite(value).all()]
    bad += [name for name, weights in model.named_parameters() if not weights.isfinite().all()]
    if bad:
        raise NonFiniteError(f"no longer finite: {', '.join(bad)}", metrics)


def refuse_another(restarts: int, limit: int, cause: NumericalError) -> None:
    """Refuse to restart once more after `limit` restarts.

    Raises:
        NumericalError: with the cause and the number of restarts.
    """
    if restarts < limit:
        return
    times = "1 restart" if restarts == 1 else f"{restarts} restarts"
    after = f", after {times}" if restarts else ""
    raise NumericalError(f"{cause}{after}") from cause


def restart_line(
    restart: int, back_to_epoch: int, epoch: int, cause: NumericalError
) -> dict[str, Any]:
    """A line of restarts.jsonl.

    Args:
        restart: its number, counted from 1.
        back_to_epoch: the epoch after which training goes on.
        epoch: the epoch that failed.
        cause: why.
    """
    details = cause.details if isinstance(cause, NonFiniteError) else {}
    line = {"restart": restart, "back_to_epoch": back_to_epoch, "epoch": epoch, "cause": str(cause)}
    return {key: _json_ready(value) for key, value in (line | details).items()}


def _json_ready(value: Any) -> Any:  # noqa: ANN401
    """Numbers that JSON can't write, as texts: "nan", "inf"."""
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_ready(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
