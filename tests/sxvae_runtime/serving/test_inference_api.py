"""The Open Inference Protocol, spoken by the stock client and by one that gets it wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tritonclient.http
from numpy.typing import NDArray
from safetensors.numpy import load_file

import sxvae_runtime
from sxvae_runtime.manifest import MANIFEST, digest

Client = tritonclient.http.InferenceServerClient
X = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    with Client(f"127.0.0.1:{port}") as client:
        yield client


def _tensor(name: str, value: NDArray[Any], binary: bool) -> Any:
    tensor = tritonclient.http.InferInput(name, list(value.shape), "FP32")
    return tensor.set_data_from_numpy(value, binary_data=binary)


@pytest.mark.parametrize("binary", [True, False])
def test_the_stock_client_encodes_and_decodes_like_the_runtime(
    client: Any, runtime: sxvae_runtime.Bundle, binary: bool
) -> None:
    q = runtime.encode(X)
    wanted = [
        tritonclient.http.InferRequestedOutput(name, binary_data=binary)
        for name in ("concentration", "mean_direction")
    ]
    found = client.infer("encoder", [_tensor("x", X, binary)], outputs=wanted, request_id="7")
    assert found.get_response()["id"] == "7"
    np.testing.assert_allclose(found.as_numpy("mean_direction"), q.mean_direction, atol=1e-6)
    np.testing.assert_allclose(found.as_numpy("concentration"), q.concentration, rtol=1e-6)
    z = q.mean_direction
    found = client.infer("decoder", [_tensor("z", z, binary)], model_version="1")
    np.testing.assert_allclose(found.as_numpy("mean"), runtime.decode(z), atol=1e-6)


def test_the_stock_client_finds_server_and_models(
    client: Any, runtime: sxvae_runtime.Bundle
) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for name, graph in runtime.manifest.graphs.items():
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, "1")
        assert not client.is_model_ready(name, "2")
        metadata = client.get_model_metadata(name)
        for ports, stated in ((graph.inputs, "inputs"), (graph.outputs, "outputs")):
            assert metadata[stated] == [
                {"name": port, "datatype": "FP32", "shape": [-1, *shape[1:]]}
                for port, shape in ports.items()
            ]
    assert not client.is_model_ready("classifier")


def test_a_bundle_without_a_sampler_has_no_such_model(
    start_server: Callable[..., Any], bundle: Path, tmp_path: Path
) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    del content["graphs"]["sampler"]
    content["sha256"] = digest(content)
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    for name in ("encoder.onnx", "decoder.onnx", "golden.safetensors"):
        (tmp_path / name).write_bytes((bundle / name).read_bytes())
    process, port = start_server(tmp_path)
    for path in ("", "/ready"):
        found = httpx.get(f"http://127.0.0.1:{port}/v2/models/sampler{path}")
        assert found.status_code == 404
        assert "there are encoder, decoder" in found.json()["error"]
    assert httpx.get(f"http://127.0.0.1:{port}/bundle/sampler.onnx").status_code == 404
    process.terminate()
    assert process.wait(10) == 0


def _body(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [3, 1, 8, 8], "datatype": "FP32", "data": X.ravel().tolist()}
    return {"inputs": [{**tensor, **changes}]}


NAN = X.copy()
NAN[0, 0, 0, 0] = np.nan
DEEP = b'{"inputs": ' + b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (DEEP, "recursion limit"),
        ([], "should be an object"),
        ({}, "inputs: Field required"),
        ({"inputs": []}, "needs the input 'x'"),
        ({"inputs": [*_body()["inputs"], *_body()["inputs"]]}, "'x' is given twice"),
        (_body(name="image"), "no input 'image'; it takes x"),
        (_body(name="\ud800"), ""),
        (_body(datatype="FP64"), "'FP64'; FP32 is needed"),
        (_body(shape=[3, 64]), "the shape [3, 64]; [n, 1, 8, 8] is needed"),
        (_body(shape=[0, 1, 8, 8], data=[]), "the shape [0, 1, 8, 8]"),
        (_body(shape=[-3, 1, 8, 8]), "the shape"),
        (_body(shape=[]), "the shape []"),
        (_body(shape=[3.5, 1, 8, 8]), "valid integer"),
        (_body(shape=[2**70, 1, 8, 8]), "a request may have 256"),
        (_body(shape=[257, 1, 8, 8]), "257 rows; a request may have 256"),
        (_body(shape=[2, 1, 8, 8]), "must be 128 numbers"),
        (_body(data=["1"] * 192), "must be 192 numbers"),
        (_body(data=[True] * 192), "must be 192 numbers"),
        (_body(data=[[1], [1, 2]]), "differ in shape"),
        (_body(data=[[[1]], [2]]), "differ in shape"),
        (_body(data=[None] * 192), "must be 192 numbers"),
        (_body(data=[10**400] + [0] * 191), ""),
        (_body(data=[1e300] + [0] * 191), "finite"),
        (_body(data=NAN.ravel().tolist()), "finite"),
        (_body(data=(X + 1).ravel().tolist()), "must lie in [0, 1]"),
        (_body(data=None), "no data"),
        (_body(parameters={"binary_data_size": 768}), "both data and binary_data_size"),
        (_body(data=None, parameters={"binary_data_size": 768}), "0 of its 768 bytes"),
        (_body(data=None, parameters={"binary_data_size": 767}), "needs 768 bytes"),
        (_body(parameters={"shared_memory_region": "r"}), "shared_memory_region"),
        ({**_body(), "outputs": [{"name": "logits"}]}, "no output 'logits'"),
        ({**_body(), "id": 7}, "id: Input should be a valid string"),
    ],
)
def test_a_malformed_request_is_refused(url: str, body: Any, sentence: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = httpx.post(f"{url}/v2/models/encoder/infer", content=content)
    assert found.status_code == 400
    assert sentence in found.json()["error"]


@pytest.mark.parametrize(
    ("length", "tail", "sentence"),
    [
        ("ten", b"", "is no number: 'ten'"),
        ("-1", b"", "is no number"),
        ("9" * 11, b"", "and the body has"),
        (None, b"left over", "Invalid JSON"),
        ("", b"1234", "4 bytes are left over"),
    ],
)
def test_a_wrong_header_length_is_refused(
    url: str, length: str | None, tail: bytes, sentence: str
) -> None:
    head = json.dumps(_body()).encode()
    headers = (
        {} if length is None else {"Inference-Header-Content-Length": length or str(len(head))}
    )
    content = head + tail
    found = httpx.post(f"{url}/v2/models/encoder/infer", content=content, headers=headers)
    assert found.status_code == 400
    assert sentence in found.json()["error"]


def test_nan_in_bytes_and_points_off_the_sphere_are_refused(
    client: Any, runtime: sxvae_runtime.Bundle
) -> None:
    z = runtime.sample_prior(2, seed=0)
    for model, name, value, sentence in (
        ("encoder", "x", NAN, "not finite"),
        ("decoder", "z", 1.1 * z, "has norm 1.1"),
        ("decoder", "z", z * np.float32("inf"), "not finite"),
    ):
        with pytest.raises(tritonclient.http.InferenceServerException, match=sentence) as refusal:
            client.infer(model, [_tensor(name, value, True)])
        assert refusal.value.status() == "400"
    assert client.is_server_ready()


def test_unknown_models_and_versions_are_not_found(url: str) -> None:
    for path in ("models/classifier", "models/encoder/versions/2", "models/..%2f..%2fetc"):
        for ending in ("", "/ready"):
            assert httpx.get(f"{url}/v2/{path}{ending}").status_code == 404
        found = httpx.post(f"{url}/v2/{path}/infer", json=_body())
        assert found.status_code == 404
        assert "error" in found.json()


def test_the_sampler_draws_as_the_bundle_says(
    client: Any, bundle: Path, runtime: sxvae_runtime.Bundle
) -> None:
    golden = load_file(bundle / runtime.manifest.golden)
    inputs = {name: golden[name] for name in runtime.manifest.graphs["sampler"].inputs}
    found = client.infer("sampler", [_tensor(name, inputs[name], True) for name in inputs])
    np.testing.assert_allclose(found.as_numpy("z"), golden["sample"], atol=1e-6)
    for name, wrong, sentence in (
        ("mean_direction", 2 * inputs["mean_direction"], "norm 2"),
        ("concentration", -inputs["concentration"] - 1, "at least 0"),
        ("scale", 0 * inputs["scale"], "above 0"),
        ("uniform", inputs["uniform"] + 1, r"\[0, 1\]"),
        ("normal", inputs["normal"] * np.float32("nan"), "finite"),
        ("normal", inputs["normal"][:1], "numbers of rows"),
    ):
        tensors = [_tensor(n, v, True) for n, v in {**inputs, name: wrong}.items()]
        with pytest.raises(tritonclient.http.InferenceServerException, match=sentence):
            client.infer("sampler", tensors)
