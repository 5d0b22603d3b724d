"""A graph in its onnxruntime session, run with as little around it as there can be."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sxvae_runtime.manifest import Graph

# Rows that a graph takes at a time.
_BATCH = 256

_Outputs = Sequence[NDArray[np.float32]]


class Network:
    """A graph in its session.

    Args:
        session: the session.
        graph: what the manifest says of it.
        outputs: the names of those that are wanted, in the order in which they come.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, graph: Graph, outputs: list[str]
    ) -> None:
        self._session = session
        ((self._feed, shape),) = graph.inputs.items()
        self._outputs = outputs
        # Other providers would copy what is bound once and for all.
        on_cpu = session.get_providers() == ["CPUExecutionProvider"]
        row = (1, *(int(size) for size in shape[1:]))
        self._single = _SingleRow(session, self._feed, row, outputs) if on_cpu else None

    def run(self, value: NDArray[np.float32]) -> _Outputs:
        """All outputs, a batch at a time: convolutions take megabytes for each row."""
        if len(value) == 1 and self._single is not None:
            found = self._single.run(value)
            if found is not None:
                return found
        if len(value) <= _BATCH:
            outputs: _Outputs = self._session.run(self._outputs, {self._feed: value})
            return outputs
        starts = range(0, len(value), _BATCH)
        batches = [self.run(value[start : start + _BATCH]) for start in starts]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


class _SingleRow:
    """One row in memory that the session knows, a tenth quicker than handing over arrays."""

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
        """All outputs, copied; None while another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            self._row[...] = value
            self._session.run_with_iobinding(self._binding)
            outputs: _Outputs = self._binding.copy_outputs_to_cpu()
            return outputs
        finally:
            self._lock.release()
