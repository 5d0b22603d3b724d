from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sxvae_runtime


def _outputs(app: sxvae_runtime.Bundle, x: np.ndarray) -> list[np.ndarray]:
    return [*(part for part in app.encode(x) if part is not None), app.reconstruct(x)]


@pytest.mark.parametrize("name", ["bundle_v1_mixed", "bundle_v1_full"])
@pytest.mark.parametrize("batch_size", [1, 7, 256, 1_000])
def test_results_do_not_depend_on_the_batch(fixtures: Path, name: str, batch_size: int) -> None:
    """600 images at once, in batches of several sizes, as if each had come alone."""
    alone = sxvae_runtime.load(fixtures / name)
    app = sxvae_runtime.load(fixtures / name, batch_size=batch_size)
    x = np.random.default_rng(1).random((600, *app.input_shape), dtype=np.float32)
    found = _outputs(app, x)
    assert {(len(output), output.dtype.name) for output in found} == {(600, "float32")}
    for row in (0, 6, 7, 255, 256, 599):
        for output, single in zip(found, _outputs(alone, x[row : row + 1]), strict=True):
            np.testing.assert_allclose(output[row], single[0], rtol=1e-6, atol=1e-6)


def test_the_graph_takes_no_more_rows_than_the_batch_size(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sxvae_runtime.load(bundle, batch_size=100)
    rows: list[int] = []
    session = app._decoder.session

    class Watched:
        def run(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            rows.append(len(feeds["z"]))
            found: list[np.ndarray] = session.run(outputs, feeds)
            return found

    monkeypatch.setattr(app._decoder, "session", Watched())
    app.decode(app.sample_prior(250, seed=0))
    assert rows == [100, 100, 50]
