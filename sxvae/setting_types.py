"""The types of settings: their bounds, and how they are read from the command line's texts.

No honest use meets the upper bounds. They refuse what would end in an overflow or in arrays that no
machine holds, such as settings in a file that is not what it seems.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from sxvae.user_paths import user_path

_MOST = 2**31 - 1

Positive = Annotated[int, Field(ge=1, le=_MOST)]
NotNegative = Annotated[int, Field(ge=0, le=_MOST)]
PositiveFloat = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# Of a layer, and of an image's height, width or channels.
Width = Annotated[int, Field(ge=1, le=2**27)]
Size = Annotated[int, Field(ge=1, le=2**16)]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must be a text without a NUL character")
    return text


def _with_home(text: str) -> str:
    return str(user_path(text)) if text.startswith("~") else text


Text = Annotated[str, Field(max_length=4_096), AfterValidator(_without_nul)]
# A path, or a name that is none; a leading `~` is replaced.
PathText = Annotated[Text, AfterValidator(_with_home)]


def read_widths(value: object) -> object:
    """Layers' widths from a text such as "256,128"."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,20}", part) and int(part) > 0 for part in parts):
        raise ValueError("must be a list of widths such as 256,128")
    return tuple(int(part) for part in parts)


def read_scale(value: object) -> object:
    """A number or "learned" from a text."""
    if not isinstance(value, str) or value == "learned":
        return value
    try:
        return float(value)
    except ValueError:
        raise ValueError("must be a number or learned") from None


def read_size(value: object) -> object:
    """(H, W) from a text: "28" for both, or "28,32"."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    if len(parts) > 2 or not all(re.fullmatch(r"[0-9]{1,20}", p) and int(p) > 0 for p in parts):
        raise ValueError("must be a size such as 28 or 28,32 (H,W)")
    return tuple(int(part) for part in (parts * 2)[:2])
