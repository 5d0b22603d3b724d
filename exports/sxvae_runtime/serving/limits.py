"""The bounds on what a server takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The bounds on requests, which keep the server responsive whatever it is sent.

    Attributes:
        body: bytes in a request's body.
        batch: rows (images or latent vectors) in a request.
        requests: how many may be in progress at once: being read, waiting or being computed.
        threads: how many of these are computed at once.
        seconds: how long a request may take to arrive, and then to be answered.
    """

    body: int
    batch: int
    requests: int
    threads: int
    seconds: float
