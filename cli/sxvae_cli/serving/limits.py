"""What a server takes at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The bounds that keep a server well whatever it is sent.

    Attributes:
        body: bytes in a request's body.
        batch: rows (images or latent vectors) in a request.
        requests: how many are taken in at once: being read, waiting or being computed.
        threads: how many of these are computed at once.
        seconds: how long a request may take to arrive, and then again to be answered.
    """

    body: int
    batch: int
    requests: int
    threads: int
    seconds: float
