"""Reduced precision: what is given in float16 or bfloat16 is computed in float32.

`in_full_precision` is the one place where that happens. A distribution takes part by having

- `dtype`, the type of its parameters and so of its results;
- `promoted()`, itself with float32 parameters where those are of a reduced type;
- optionally `has_parameters = False`, if its type must not decide that of a KL;
- optionally `is_reduced`, if `dtype` does not say whether there is something to promote.

Under `torch.autocast` the functions compute as if it was off: their operations are chosen for the
type that they are written for.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Distribution = TypeVar("_Distribution", bound=Distribution)

REDUCED_TYPES = frozenset({torch.float16, torch.bfloat16})


def promoted(tensor: Tensor) -> Tensor:
    """A tensor of a reduced type in float32; any other as it is."""
    return tensor.float() if tensor.dtype in REDUCED_TYPES else tensor


def promoted_distribution(distribution: _Distribution) -> _Distribution:
    """A distribution of a reduced type with float32 parameters; any other as it is."""
    if not is_reduced(distribution):
        return distribution
    twin: _Distribution = distribution.promoted()  # type: ignore[attr-defined]
    return twin


def common_type(distributions: list[Distribution]) -> torch.dtype | None:
    """The type to which PyTorch promotes those of the distributions; None if none has one."""
    deciding = [each for each in distributions if getattr(each, "has_parameters", True)]
    types = [_type_of(each) for each in deciding or distributions[:1]]
    known = [dtype for dtype in types if dtype is not None]
    return functools.reduce(torch.promote_types, known) if known else None


def _type_of(distribution: Distribution) -> torch.dtype | None:
    """The type of a distribution's parameters, of PyTorch's own by that of `loc`."""
    if isinstance(distribution, Independent):
        return _type_of(distribution.base_dist)
    dtype: torch.dtype | None = getattr(distribution, "dtype", None)
    return dtype or getattr(getattr(distribution, "loc", None), "dtype", None)


def in_full_precision(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Decorate a distribution's method, or a function of distributions such as a KL.

    Distributions of a reduced type among the positional arguments are promoted, and resulting
    tensors cast to the arguments' common type.
    """

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        distributions = [each for each in args if isinstance(each, Distribution)]
        if any(is_reduced(each) for each in distributions):
            arguments: Any = [
                promoted_distribution(each) if isinstance(each, Distribution) else each
                for each in args
            ]
            with without_autocast():
                result = function(*arguments, **kwargs)
            cast: _Result = _cast(result, common_type(distributions))
            return cast
        if not _autocast_devices():
            return function(*args, **kwargs)
        with without_autocast():
            return function(*args, **kwargs)

    return call


def is_reduced(distribution: Distribution) -> bool:
    """Whether `promoted_distribution` gives another one."""
    known: bool | None = getattr(distribution, "is_reduced", None)
    if known is not None:
        return known
    return getattr(distribution, "dtype", None) in REDUCED_TYPES and hasattr(
        distribution, "promoted"
    )


@contextlib.contextmanager
def without_autocast() -> Iterator[None]:
    """A block in which `torch.autocast` does not change the types of operations."""
    with contextlib.ExitStack() as stack:
        for device in _autocast_devices():
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


def _autocast_devices() -> list[str]:
    """The kinds of devices for which autocast is on."""
    if not torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled("cuda"):
        return []
    return [device for device in ("cpu", "cuda") if torch.is_autocast_enabled(device)]


def _cast(result: Any, dtype: torch.dtype | None) -> Any:  # noqa: ANN401 (tensors and tuples of them)
    if isinstance(result, Tensor):
        return result.to(dtype)
    if isinstance(result, tuple):
        parts = [_cast(each, dtype) for each in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    return result
