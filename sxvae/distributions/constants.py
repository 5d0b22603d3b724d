"""Tensors that are made once and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def cached_constant(make: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Cache what `make` returns for its arguments, hashable ones.

    Made first under torch.inference_mode, it would be of no use to a training that comes later.
    """

    @functools.lru_cache(maxsize=64)
    @functools.wraps(make)
    def cached(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with torch.inference_mode(False):
            return make(*args, **kwargs)

    return cached  # type: ignore[return-value]
