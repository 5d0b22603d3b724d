"""A bundle's graphs in onnxruntime sessions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from sxvae_runtime import inputs
from sxvae_runtime.errors import BundleError, InputError, MissingPackageError
from sxvae_runtime.manifest import Manifest

try:
    import onnxruntime
except ImportError as error:
    raise MissingPackageError(
        f"sxvae_runtime needs onnxruntime ({error}): pip install onnxruntime, or another build of "
        "it in its place, such as onnxruntime-gpu"
    ) from error

# Distributions that install the module `onnxruntime`, one over the other.
_BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")


class Sessions:
    """Opens the sessions of a bundle's graphs, with the same options.

    Args:
        folder: the bundle.
        manifest: what it holds.
        providers: onnxruntime's execution providers; the CPU's if None.
        options: onnxruntime's options for every session.

    Raises:
        InputError: if onnxruntime has no such provider.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        providers: Sequence[Any] | None,
        options: onnxruntime.SessionOptions,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._providers = list(providers or ["CPUExecutionProvider"])
        _check_providers(self._providers)
        self._options = options

    def open(self, name: str) -> onnxruntime.InferenceSession:
        """A new session of a graph.

        Raises:
            BundleError: if onnxruntime can't load it, or it is not what the manifest says.
        """
        graph = self._manifest.graphs[name]
        path = self._folder / graph.file
        try:
            session = onnxruntime.InferenceSession(
                path.read_bytes(), self._options, providers=self._providers
            )
        except Exception as error:  # onnxruntime's own errors share no base class but this
            raise BundleError(f"onnxruntime can't load {path}: {error}") from error
        for stated, actual in (
            (graph.inputs, session.get_inputs()),
            (graph.outputs, session.get_outputs()),
        ):
            if stated != {port.name: tuple(port.shape) for port in actual}:
                raise BundleError(
                    f"{path} has other inputs or outputs than the manifest says; export it again"
                )
        return session


def make_session_options(
    given: onnxruntime.SessionOptions | None, threads: int | None
) -> onnxruntime.SessionOptions:
    """The caller's options as they are, else options with so many threads, 1 if None.

    Raises:
        InputError: if both are given, or `threads` is below 0.
    """
    if given is not None:
        if threads is not None:
            raise InputError(
                "give session_options or threads, not both: session_options has its own "
                "intra_op_num_threads"
            )
        return given
    count = 1 if threads is None else threads
    inputs.at_least(0, count, "threads")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(count)
    return options


def _check_providers(providers: list[Any]) -> None:
    """Refuse providers that are not there, which onnxruntime itself would ignore."""
    available = onnxruntime.get_available_providers()
    for entry in providers:
        name = entry if isinstance(entry, str) else entry[0]
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
