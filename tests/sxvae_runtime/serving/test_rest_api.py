"""The REST API, in JSON and in pictures."""

from __future__ import annotations

import io
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

import sxvae_runtime

X = np.random.default_rng(0).random((3, 1, 8, 8)).astype(np.float32)
NAN = b'{"z": [[NaN, 0, 1, 0, 0, 1, 0, 0, 0, 0]]}'


def _post(url: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/{path}", json=body, headers=headers)


def _pixels(response: httpx.Response) -> Any:
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_encode_and_decode_are_the_runtimes(url: str, runtime: sxvae_runtime.Bundle) -> None:
    q = runtime.encode(X)
    found = _post(url, "encode", {"x": X.tolist()}).json()
    assert set(found) == {"mean_direction", "concentration", "scale"}
    np.testing.assert_allclose(found["mean_direction"], q.mean_direction, atol=1e-6)
    np.testing.assert_allclose(found["concentration"], q.concentration, rtol=1e-6)
    assert q.scale is not None
    np.testing.assert_allclose(found["scale"], q.scale, rtol=1e-6)
    decoded = _post(url, "decode", {"z": q.mean_direction.tolist()}).json()
    np.testing.assert_allclose(decoded["x"], runtime.decode(q.mean_direction), atol=1e-6)


def test_samples_come_from_the_prior_or_from_posteriors(
    url: str, runtime: sxvae_runtime.Bundle
) -> None:
    prior = _post(url, "sample", {"n": 4, "seed": 3}).json()
    np.testing.assert_allclose(prior["z"], runtime.sample_prior(4, seed=3), atol=1e-6)
    np.testing.assert_allclose(prior["x"], runtime.decode(np.float32(prior["z"])), atol=1e-6)
    drawn = _post(url, "sample", {"n": 2, "seed": 3, "x": X.tolist()}).json()
    expected = runtime.sample_posterior(runtime.encode(X), 2, seed=3)
    np.testing.assert_allclose(drawn["z"], expected, atol=1e-6)
    assert np.shape(drawn["x"]) == (2, 3, 1, 8, 8)
    np.testing.assert_allclose(drawn["x"][1], runtime.decode(expected[1]), atol=1e-6)
    assert _post(url, "sample", {}).json() != _post(url, "sample", {}).json()


def test_a_path_is_the_runtimes(url: str, runtime: sxvae_runtime.Bundle) -> None:
    ends = runtime.sample_prior(2, seed=0)
    for long_way in (False, True):
        body = {"z0": ends[0].tolist(), "z1": ends[1].tolist(), "long_way": long_way}
        found = _post(url, "interpolate", {**body, "steps": 5}).json()
        expected = runtime.interpolate(ends[0], ends[1], 5, long_way=long_way)
        np.testing.assert_allclose(found["z"], expected, atol=1e-6)
        np.testing.assert_allclose(found["x"], runtime.decode(expected), atol=1e-6)


def test_pictures_show_what_the_numbers_say(url: str, runtime: sxvae_runtime.Bundle) -> None:
    """8x8 pixels are shown 8 times as large, with 2 pixels around each image."""
    side = _pixels(_post(url, "sample", {"seed": 1}, accept="image/png")).shape[0]
    zoom = (side - 4) // 8
    cell = 8 * zoom + 2
    z = runtime.sample_prior(2, seed=0)
    shapes = {}
    for path, body, columns, rows in (
        ("decode", {"z": z.tolist()}, 2, 1),
        ("encode", {"x": X.tolist()}, 3, 2),
        ("sample", {"n": 4}, 2, 2),
        ("sample", {"n": 2, "x": X.tolist()}, 3, 2),
        ("interpolate", {"z0": z[0].tolist(), "z1": z[1].tolist(), "steps": 5}, 5, 1),
    ):
        pixels = _pixels(_post(url, path, body, accept="image/png"))
        assert pixels.shape == (rows * cell + 2, columns * cell + 2)
        shapes[path] = pixels
    centres = shapes["decode"][2 + zoom // 2 : 2 + 8 * zoom : zoom, 2 + zoom // 2 :: zoom][:, :8]
    expected = np.rint(runtime.decode(z)[0, 0] * 255)
    assert np.abs(centres.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("text/html, image/png;q=0.5, application/json;q=0.4", "image/png"),
        ("application/json;q=0.9, */*", "image/png"),
        ("image/png, application/json", "application/json"),
        ("IMAGE/PNG ; Q=1.0", "image/png"),
        ("text/html", None),
        ("image/png;q=0, text/plain", None),
    ],
)
def test_the_accept_header_chooses(url: str, accept: str, kind: str | None) -> None:
    found = _post(url, "sample", {"n": 1}, accept=accept)
    if kind is None:
        assert found.status_code == 406
        assert "image/png" in found.json()["error"]
    else:
        assert found.headers["content-type"] == kind


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("decode", b"{", 400, "not JSON"),
        ("decode", b"[" * 100_000, 400, ""),
        ("decode", NAN, 422, "z.0.0: Input should be a finite number"),
        ("decode", {}, 422, "z: Field required"),
        ("decode", {"z": []}, 422, "at least 1 item"),
        ("decode", {"z": [[1, 0]]}, 422, "the shape (1, 2); (n, 10) is needed"),
        ("decode", {"z": [[1, 0], [1]]}, 422, "differ in shape"),
        ("decode", {"z": [["1"]]}, 422, "valid number"),
        ("decode", {"z": [[1] * 10]}, 422, "points of a sphere have norm 1"),
        ("decode", {"z": [[1e300] * 10]}, 422, "not finite"),
        ("decode", {"z": [[0] * 10], "y": 1}, 422, "y: Extra inputs"),
        ("encode", {"x": [[[[2] * 8] * 8]]}, 422, "must lie in [0, 1]"),
        ("encode", {"x": [[[[0] * 8] * 8]] * 257}, 422, "257 rows; a request may have 256"),
        ("sample", {"n": 0}, 422, "n: Input should be greater"),
        ("sample", {"n": 257}, 422, "257 rows"),
        ("sample", {"n": 129, "x": X[:2].tolist()}, 422, "258 rows"),
        ("sample", {"seed": -1}, 422, "seed"),
        ("sample", {"n": True}, 422, "n: "),
        ("interpolate", {"z0": [1] * 10, "z1": [1] * 10}, 422, "z0 has norm"),
        ("interpolate", {"z0": [1], "z1": [1], "steps": 1}, 422, "steps"),
    ],
)
def test_a_malformed_request_is_refused(
    url: str, path: str, body: Any, status: int, sentence: str
) -> None:
    if isinstance(body, bytes):
        headers = {"content-type": "application/json"}
        found = httpx.post(f"{url}/{path}", content=body, headers=headers)
    else:
        found = _post(url, path, body)
    assert found.status_code == status
    assert sentence in found.json()["error"]


def test_other_bodies_than_json_are_refused(url: str) -> None:
    found = httpx.post(f"{url}/sample", data={"n": 1})
    assert found.status_code == 415
    assert "Content-Type: application/json" in found.json()["error"]
    compressed = httpx.post(f"{url}/sample", json={}, headers={"content-encoding": "gzip"})
    assert compressed.status_code == 415
    assert httpx.get(f"{url}/sample").status_code == 405
