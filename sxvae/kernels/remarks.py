"""Remarks on how the compiled functions fare on this machine.

They go to the logger "sxvae.kernels" as warnings. Where a program has not configured logging,
Python prints them as single lines on stderr.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("sxvae.kernels")
_said: set[str] = set()


def remark(subject: str, sentence: str) -> None:
    """Log a sentence, unless this process has said something about the subject already."""
    if subject not in _said:
        _said.add(subject)
        _logger.warning(sentence)
