"""A bundle's graphs in onnxruntime sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sxvae_runtime import inputs
from sxvae_runtime.bundle_files import read_file
from sxvae_runtime.errors import BundleError, InputError, MissingPackageError
from sxvae_runtime.manifest import Manifest
from sxvae_runtime.text import printable

try:
    import onnxruntime
except ImportError as error:
    raise MissingPackageError(
        f"sxvae_runtime needs onnxruntime ({error}): pip install onnxruntime, or another build of "
        "it in its place, such as onnxruntime-gpu"
    ) from error

# Of every input and output.
_TYPE = "tensor(float)"
# onnxruntime starts as many as it is told, for each graph, and a million take minutes.
_MOST_THREADS = 4_096


class Sessions:
    """Opens the sessions of a bundle's graphs, with the same options.

    Args:
        folder: the bundle.
        manifest: what it holds.
        providers: what `check_providers` returned.
        options: onnxruntime's options for every session.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        providers: list[Any],
        options: onnxruntime.SessionOptions,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._providers = providers
        self._options = options

    def open(self, name: str, content: bytes | None = None) -> onnxruntime.InferenceSession:
        """A new session of a graph.

        Args:
            name: the graph's.
            content: its file, as `read_bundle` returned it; if None it is read again, and must
                still be the same.

        Raises:
            BundleError: if onnxruntime can't load it, or it is not what the manifest says.
        """
        graph = self._manifest.graphs[name]
        path = self._folder / graph.file
        if content is None:
            content = read_file(self._folder, self._manifest, graph.file)
        try:
            session = onnxruntime.InferenceSession(
                content, self._options, providers=self._providers
            )
        except Exception as error:  # onnxruntime's own errors share no base class but this
            reason = printable(str(error))
            raise BundleError(f"onnxruntime can't load {path}: {reason}") from error
        for stated, actual in (
            (graph.inputs, session.get_inputs()),
            (graph.outputs, session.get_outputs()),
        ):
            found = {port.name: (port.type, tuple(port.shape)) for port in actual}
            if found != {name: (_TYPE, shape) for name, shape in stated.items()}:
                raise BundleError(
                    f"{path} has other inputs or outputs than the manifest says; export it again"
                )
        return session


def make_session_options(
    given: onnxruntime.SessionOptions | None, threads: int | None
) -> onnxruntime.SessionOptions:
    """The caller's options as they are, else options with so many threads, 1 if None.

    Raises:
        InputError: if both are given, or `threads` is below 0 or above `_MOST_THREADS`.
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
    if count > _MOST_THREADS:
        raise InputError(f"at most {_MOST_THREADS:,} threads are taken, not {count}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(count)
    return options
