"""Content negotiation between JSON and PNG."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException

JSON, PNG = "application/json", "image/png"

_QUALITY = re.compile(r"q\s*=\s*(0(\.\d*)?|1(\.0*)?)", re.IGNORECASE)


def wants_png(accept: str | None) -> bool:
    """Whether the header `Accept` prefers PNG to JSON.

    Raises:
        HTTPException: 406 if it takes neither.
    """
    json, png = (_quality(accept or "*/*", media) for media in (JSON, PNG))
    if json == png == 0:
        raise HTTPException(406, f"there are {JSON} and {PNG}, and the request accepts neither")
    return png > json


def _quality(accept: str, media: str) -> float:
    """The quality that a header gives to a media type: that of its most specific range."""
    ranges = {media: 2, media.partition("/")[0] + "/*": 1, "*/*": 0}
    found = [(-1, 0.0)]
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name.lower() in ranges:
            qualities = [match for text in parameters if (match := _QUALITY.fullmatch(text))]
            quality = float(qualities[0][1]) if qualities else 1.0
            found.append((ranges[name.lower()], quality))
    return max(found)[1]
