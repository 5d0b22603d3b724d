"""Caching of constant tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def cached_constant(make: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Cache the tensors that `make` returns; its arguments must be hashable.

    They are made outside of torch.inference_mode, because autograd could not use them otherwise.
    """

    @functools.lru_cache(maxsize=64)
    @functools.wraps(make)
    def cached(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with torch.inference_mode(False):
            return make(*args, **kwargs)

    return cached  # type: ignore[return-value]
