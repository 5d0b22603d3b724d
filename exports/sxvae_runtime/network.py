"""A graph in its onnxruntime session, run with as little overhead as possible."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sxvae_runtime.errors import BundleError
from sxvae_runtime.manifest import Graph
from sxvae_runtime.text import printable

if TYPE_CHECKING:
    import onnxruntime

_Outputs = Sequence[NDArray[np.float32]]


class Network:
    """A graph in its session; many threads may run it at once.

    Args:
        name: the graph's.
        session: the session.
        graph: what the manifest says of it.
        outputs: the names of those that are wanted, in the order in which they come.
        batch_size: how many rows the graph takes at a time.
    """

    def __init__(
        self,
        name: str,
        session: onnxruntime.InferenceSession,
        graph: Graph,
        outputs: list[str],
        batch_size: int,
    ) -> None:
        self.session = session
        self._name = name
        ((self._feed, shape),) = graph.inputs.items()
        self._outputs = outputs
        self._widths = [_sizes(graph.outputs[name]) for name in outputs]
        self._batch_size = batch_size
        # Memory is bound once, on the CPU; the other providers would copy it in every call.
        on_cpu = session.get_providers() == ["CPUExecutionProvider"]
        row = (1, *_sizes(shape))
        self._single = _SingleRow(session, self._feed, row, outputs) if on_cpu else None

    def run(self, value: NDArray[np.float32]) -> _Outputs:
        """All outputs, computed in batches, because convolutions need megabytes for each row.

        Raises:
            BundleError: if onnxruntime fails, or an output has another shape than the graph states.
        """
        try:
            outputs = self._run(value)
        except (BundleError, MemoryError):
            raise
        except Exception as error:  # onnxruntime's own errors share no base class but this
            reason = printable(str(error))
            raise BundleError(f"the {self._name} graph can't be run: {reason}") from error
        for output, width in zip(outputs, self._widths, strict=True):
            if output.shape[1:] != width or len(output) != len(value):
                raise BundleError(
                    f"the {self._name} graph gives an output of the shape {output.shape} for "
                    f"{len(value)} rows, not {(len(value), *width)}: export the bundle again"
                )
        return outputs

    def _run(self, value: NDArray[np.float32]) -> _Outputs:
        if len(value) == 1 and self._single is not None:
            found = self._single.run(value)
            if found is not None:
                return found
        if len(value) > self._batch_size:
            return self._run_in_batches(value)
        outputs: _Outputs = self.session.run(self._outputs, {self._feed: value})
        return outputs

    def _run_in_batches(self, value: NDArray[np.float32]) -> _Outputs:
        wholes = [np.empty((len(value), *width), dtype=np.float32) for width in self._widths]
        for start in range(0, len(value), self._batch_size):
            rows = slice(start, start + self._batch_size)
            for whole, part in zip(wholes, self.run(value[rows]), strict=True):
                whole[rows] = part
        return wholes


def _sizes(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """The shape of one row, without the batch axis."""
    return tuple(int(size) for size in shape[1:])


class _SingleRow:
    """Runs a single row in memory that is bound to the session, which saves a tenth of the time.

    For two rows and more, making a binding takes longer than it saves.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        feed: str,
        shape: tuple[int, ...],
        outputs: list[str],
    ) -> None:
        self._session = session
        self._row = np.zeros(shape, dtype=np.float32)
        self._binding = session.io_binding()
        self._binding.bind_cpu_input(feed, self._row)
        for name in outputs:
            self._binding.bind_output(name)
        self._lock = threading.Lock()

    def run(self, value: NDArray[np.float32]) -> _Outputs | None:
        """Copies of all outputs, or None while another thread uses the memory."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._row[...] = value
            self._session.run_with_iobinding(self._binding)
            outputs: _Outputs = self._binding.copy_outputs_to_cpu()
            return outputs
        finally:
            self._lock.release()
