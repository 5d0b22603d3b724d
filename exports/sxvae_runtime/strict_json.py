"""JSON from files that somebody else may have written, without what JSON does not really have."""

from __future__ import annotations

import json
import math
from typing import Any

from sxvae_runtime.text import printable, shown


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 (anything that JSON has)
    """Parse JSON whose objects name each key once and whose numbers are finite.

    Raises:
        ValueError: what the text does that it should not, as the rest of a sentence.

    Example:
        >>> parse_json('{"a": 1}')
        {'a': 1}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: has the key 'a' twice
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("is not JSON") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"has the key {shown(key)} twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"holds {name}, which is no number")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python reads some thousand digits
        raise ValueError("has a number of too many digits") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"holds {printable(text[:20])}, which is too large a number")
    return value
