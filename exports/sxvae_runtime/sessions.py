"""A bundle's graphs in onnxruntime sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from sxvae_runtime import inputs
from sxvae_runtime.errors import BundleError, InputError
from sxvae_runtime.manifest import Manifest


class Sessions:
    """Opens the sessions of a bundle's graphs, with the same options.

    Args:
        folder: the bundle.
        manifest: what it holds.
        providers: onnxruntime's execution providers; the CPU's if None.
        threads: onnxruntime's threads within an operator; 0 for as many as there are cores.

    Raises:
        InputError: if onnxruntime has no such provider, or `threads` is no such number.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, providers: Sequence[Any] | None, threads: int
    ) -> None:
        inputs.at_least(0, threads, "threads")
        self._folder = folder
        self._manifest = manifest
        self._providers = list(providers or ["CPUExecutionProvider"])
        _check_providers(self._providers)
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = int(threads)

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


def _check_providers(providers: list[Any]) -> None:
    """Refuse what onnxruntime would quietly leave out; an entry is a name, or (name, options)."""
    available = onnxruntime.get_available_providers()
    for entry in providers:
        name = entry if isinstance(entry, str) else entry[0]
        if name not in available:
            raise InputError(
                f"this onnxruntime has no provider {name!r}; choose from {', '.join(available)}"
            )
