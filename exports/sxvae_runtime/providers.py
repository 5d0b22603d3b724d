"""Which of onnxruntime's execution providers a bundle is run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import onnxruntime

from sxvae_runtime.errors import InputError

Provider = str | tuple[str, Mapping[str, Any]]

# Distributions that install the module `onnxruntime`, one over the other.
_BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")

_KINDS = "a list of names, or of pairs of a name and a dictionary of options"


def check_providers(providers: Sequence[Provider] | Provider | None) -> list[Any]:
    """A caller's providers as onnxruntime takes them.

    Args:
        providers: a list; a name or a pair alone stands for a list of it, None for the CPU.

    Raises:
        InputError: if the list is empty or no list, or onnxruntime has no such provider.
    """
    if providers is None:
        return ["CPUExecutionProvider"]
    alone = isinstance(providers, str) or _is_pair(providers)
    entries = [providers] if alone else providers
    if not isinstance(entries, list | tuple):
        raise InputError(f"providers must be {_KINDS}, not {providers!r}")
    if not entries:
        raise InputError("providers is an empty list; leave it out to run on the CPU")
    for entry in entries:
        _check_provider(entry)
    return list(entries)


def _is_pair(entry: object) -> bool:
    """Whether this is one provider with its options, and no list of two providers."""
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and isinstance(entry[1], Mapping)
    )


def _check_provider(entry: object) -> None:
    """Refuse a provider that is not there, which onnxruntime itself would ignore."""
    if isinstance(entry, str):
        name = entry
    elif isinstance(entry, tuple) and _is_pair(entry):
        name = entry[0]
    else:
        raise InputError(f"providers must be {_KINDS}, and {entry!r} is neither")
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise InputError(
            f"this onnxruntime has no provider {name!r}; choose from {', '.join(available)}"
            f"{_several_builds()}"
        )


def _several_builds() -> str:
    """A remark where several builds of onnxruntime are installed, which overwrite each other."""
    found = [name for name in _BUILDS if _is_installed(name)]
    if len(found) < 2:
        return ""
    return (
        f". {' and '.join(found)} are both installed and overwrite each other: uninstall them, "
        "then install only the one for this machine"
    )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
