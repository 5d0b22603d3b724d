from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import Bundle

THREADS, CALLS = 8, 60


def _everything(app: Bundle, call: int) -> list[np.ndarray]:
    """All that an application computes, for one image more often than for many."""
    rng = np.random.default_rng(call)
    x = rng.random((1 if call % 3 else 1 + call, *app.input_shape), dtype=np.float32)
    q = app.encode(x)
    z = app.sample_posterior(q, 2, seed=rng)
    prior = app.sample_prior(2, seed=call)
    path = app.interpolate(prior[0], prior[1], steps=4)
    parts = [part for part in q if part is not None]
    circle = app.traverse(prior[0], 0, steps=5)
    return [*parts, z, app.decode(z[0]), app.reconstruct(x), prior, app.decode(path), circle]


@pytest.mark.parametrize("name", ["bundle_v1_mixed", "bundle_v1_full"])
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_a_bundle(fixtures: Path, name: str, threads: int) -> None:
    """Eight threads at once compute what one does, bit for bit."""
    app = sxvae_runtime.load(fixtures / name, threads=threads, batch_size=32)
    expected = [_everything(app, call) for call in range(CALLS)]
    start = threading.Barrier(THREADS)

    def work(thread: int) -> int:
        """Every call, each thread in an order of its own."""
        start.wait()
        for call in np.random.default_rng(thread).permutation(CALLS).tolist():
            for found, single in zip(_everything(app, call), expected[call], strict=True):
                np.testing.assert_array_equal(found, single)
        return thread

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(work, range(THREADS))) == list(range(THREADS))
