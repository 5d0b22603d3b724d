"""The command `sxvae-runtime serve`, and what it serves besides the models."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx

from sxvae_runtime import page
from sxvae_runtime.manifest import MANIFEST

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_server_needs_no_pytorch() -> None:
    code = (
        "import sys, sxvae_runtime.serving.app, sxvae_runtime.serving.http_server, "
        "sxvae_runtime.command_line.app\n"
        "assert not {'torch', 'sxvae', 'sxvae_export', 'onnx', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wrong_usage(run: Command, bundle: Path, tmp_path: Path, port: int) -> None:
    assert "there is no bundle at nowhere" in run("serve", "nowhere", code=1).stderr
    refusal = run("serve", bundle, "--port", str(port), code=2).stderr
    assert refusal == (
        f"sxvae-runtime: the server can't listen on 127.0.0.1 port {port}: Address already in use\n"
    )
    assert "--port" in run("serve", bundle, "--port", "70000", code=2).stderr
    key = tmp_path / "key"
    for content, sentence in ((None, "can't be read"), ("\n", "one key"), ("a b", "one key")):
        if content is not None:
            key.write_text(content)
        assert sentence in run("serve", bundle, "--api-key-file", key, code=2).stderr


def test_a_key_opens_all_but_health(
    start_server: Callable[..., Any], bundle: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("correct-horse\n")
    process, port = start_server(bundle, "--api-key-file", key, "--access-log")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for path in ("/", "/v2", "/metrics", "/openapi.json", f"/bundle/{MANIFEST}", "/nowhere"):
            for header in (None, "correct-horse", "Bearer correct", "Basic correct-horse", "\xff"):
                text = None if header is None else header.encode("latin-1")
                headers = {} if text is None else {b"authorization": text}
                found = client.get(path, headers=headers)
                assert found.status_code == 401
                assert found.headers["www-authenticate"] == "Bearer"
        assert client.post("/sample", json={}).status_code == 401
        good = {"Authorization": "bearer correct-horse"}
        assert client.get("/v2", headers=good).status_code == 200
        assert client.post("/sample", json={}, headers=good).status_code == 200
    process.terminate()
    _, log = process.communicate(timeout=10)
    assert '"POST /sample HTTP/1.1" 200' in log
    assert "correct-horse" not in log


def test_the_bundle_is_served_and_no_other_file(url: str, bundle: Path) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    names = {MANIFEST, content["golden"]["file"]}
    names |= {graph["file"] for graph in content["graphs"].values()}
    for name in names:
        found = httpx.get(f"{url}/bundle/{name}")
        assert found.content == (bundle / name).read_bytes()
    (bundle / "notes.txt").write_text("secret")
    wrong = ("notes.txt", "", "%2e%2e/bundle/notes.txt", "..%2fbundle%2fnotes.txt", "/etc/passwd")
    for name in wrong:
        assert httpx.get(f"{url}/bundle/{name}").status_code == 404
    (bundle / "notes.txt").unlink()
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"):
        assert httpx.get(f"{url}{path}").status_code == 404


def test_the_page_is_served_or_says_how_to_build_it(url: str) -> None:
    found = httpx.get(f"{url}/")
    if not (page.FOLDER / "index.html").is_file():
        assert found.status_code == 404
        assert page.BUILD in found.json()["error"]
        return
    for name, content in page.page_files().items():
        response = httpx.get(f"{url}/{name}")
        assert response.content == content
        kind = response.headers["content-type"].partition(";")[0]
        expected = {".wasm": "application/wasm", ".mjs": "text/javascript", ".html": "text/html"}
        assert kind == expected.get(Path(name).suffix, kind)
    assert found.content == page.page_files()["index.html"]


def test_browsers_are_told_to_load_nothing_from_elsewhere(url: str) -> None:
    for path in ("/", "/docs", "/v2", "/nowhere"):
        headers = httpx.get(f"{url}{path}").headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "'wasm-unsafe-eval'" in policy
        assert "'unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_the_api_is_described_without_the_network(url: str) -> None:
    text = httpx.get(f"{url}/docs").text
    parts = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(parts) == 4
    for part in parts:
        assert "//" not in part
        assert httpx.get(f"{url}/{part}").status_code == 200
    described = httpx.get(f"{url}/openapi.json").json()["paths"]
    assert "/v2/models/{model}/infer" in described
    operations = [operation for path in described.values() for operation in path.values()]
    assert {tag for each in operations for tag in each["tags"]} == {
        "inference",
        "monitoring",
        "REST",
    }
    for path in ("/encode", "/decode", "/sample", "/interpolate"):
        body = described[path]["post"]["requestBody"]["content"]["application/json"]
        assert httpx.post(f"{url}{path}", json=body["example"]).status_code == 200


def test_schemathesis_finds_no_failure_of_the_server(url: str, tmp_path: Path) -> None:
    """Whatever is sent gets an answer that the description announces, and never a 5xx."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--checks", checks, "--max-examples", "10", "--seed", "1"),
            *("--phases", "examples,fuzzing"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout
    assert int(generated[1]) > 80
