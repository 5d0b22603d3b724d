"""What is too long, too slow or too much is refused, and the server stays responsive."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

TIME_LIMIT = 1.0
BODY_LIMIT = 2**20
REQUESTS = 3
GOOD = json.dumps({"n": 1}).encode()
HEAD = b"POST /sample HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def port(start_server: Callable[..., Any], bundle: Path) -> int:
    """A server with little patience and little room."""
    limits = ("--time-limit", TIME_LIMIT, "--max-body", "1", "--max-requests", REQUESTS)
    room = ("--max-batch", "100000", "--threads", "1")
    found: int = start_server(bundle, *map(str, limits), *room)[1]
    return found


@pytest.fixture(autouse=True)
def _the_server_stays_responsive(url: str) -> Iterator[None]:
    yield
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200
    deadline = time.monotonic() + 20
    while httpx.post(f"{url}/sample", json={"n": 1}, timeout=20).status_code == 503:
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _sent(port: int, data: bytes) -> tuple[bytes, float]:
    """What comes back until the server closes the connection, and after how long."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(data)
        response = b""
        while part := connection.recv(65536):
            response += part
    return response, time.monotonic() - start


def _chunks(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_a_body_over_the_limit_is_refused(url: str) -> None:
    for content in (b" " * (BODY_LIMIT + 1), iter([b" " * 2**19] * 3)):
        found = httpx.post(
            f"{url}/sample", content=content, headers={"content-type": "application/json"}
        )
        assert found.status_code == 413
        assert "1,048,576 bytes" in found.json()["error"]
    just_fits = GOOD + b" " * (BODY_LIMIT - len(GOOD))
    found = httpx.post(
        f"{url}/sample", content=just_fits, headers={"content-type": "application/json"}
    )
    assert found.status_code == 200


def test_a_chunked_body_within_the_limit_is_taken(port: int) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    response, _ = _sent(port, head + _chunks(GOOD[:3], GOOD[3:], b""))
    assert response.startswith(b"HTTP/1.1 200 ")
    response, _ = _sent(port, head + b"3;\r\nxx")
    assert response.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\n" + GOOD, b"408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _chunks(GOOD), b"408"),
        (HEAD, b"408"),
        (b"P", b"408"),
        (b"", None),
        (HEAD + b"Content-Length: 2000000\r\n\r\n" + GOOD, b"413"),
    ],
    ids=["body", "chunk", "head", "letter", "nothing", "long body"],
)
def test_half_a_request_is_not_waited_for(port: int, data: bytes, status: bytes | None) -> None:
    response, seconds = _sent(port, data)
    assert 0.9 * TIME_LIMIT < seconds < 8 * TIME_LIMIT
    if status is None:
        assert response == b""
    else:
        assert response.startswith(b"HTTP/1.1 " + status)


def test_a_byte_now_and_then_is_not_enough(port: int) -> None:
    """Neither in the first lines nor in a body does the clock start again."""
    for data in (HEAD, HEAD + b"Content-Length: 100\r\n\r\n"):
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(data)
            connection.settimeout(0.2)
            response = None
            while response is None and time.monotonic() < start + 8 * TIME_LIMIT:
                connection.sendall(b"x")
                try:
                    response = connection.recv(1000)
                except TimeoutError:
                    continue
        assert response is not None
        assert response.startswith(b"HTTP/1.1 408 ")


def test_what_is_no_http_is_refused(port: int) -> None:
    for data in (b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", HEAD + b"Content-Length: -1\r\n\r\n"):
        response, _ = _sent(port, data)
        assert response.startswith(b"HTTP/1.1 400 ")
    response, _ = _sent(port, b"GET / HTTP/1.1\r\nHost: here\r\nA: " + b"a" * 100_000)
    assert response.startswith(b"HTTP/1.1 400 ")


def test_more_than_there_is_room_for_is_asked_to_come_again(port: int, url: str) -> None:
    """Requests that are still arriving take up room; health and pages do not."""
    with ExitStack() as stack:
        for _ in range(REQUESTS):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.sendall(HEAD + b"Content-Length: 100\r\n\r\n")
        deadline = time.monotonic() + 10
        while (found := httpx.post(f"{url}/sample", json={})).status_code == 200:
            assert time.monotonic() < deadline
        assert found.status_code == 503
        assert found.headers["retry-after"] == "1"
        assert f"{REQUESTS} requests" in found.json()["error"]
        assert httpx.get(f"{url}/v2/health/live").status_code == 200


def test_a_client_that_leaves_makes_room(port: int, url: str) -> None:
    for _ in range(3 * REQUESTS):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n")
            time.sleep(0.02)
    deadline = time.monotonic() + 0.8 * TIME_LIMIT
    while httpx.post(f"{url}/sample", json={}).status_code != 200:
        assert time.monotonic() < deadline


def test_what_takes_too_long_to_compute_is_given_up(url: str) -> None:
    body, headers = {"n": 100_000}, {"accept": "image/png"}
    found = httpx.post(f"{url}/sample", json=body, headers=headers, timeout=60)
    assert found.status_code == 503
    assert found.headers["retry-after"] == "1"
    assert "within 1 s" in found.json()["error"]


def test_the_metrics_tell_of_it_all(url: str) -> None:
    text = httpx.get(f"{url}/metrics").text
    for line in (
        'sxvae_requests_total{method="POST",path="/sample",status="200"}',
        'sxvae_request_seconds_count{path="/sample"}',
        "sxvae_queue_wait_seconds_count",
        "sxvae_compute_seconds_count",
        "sxvae_requests_in_progress 0.0",
        "process_resident_memory_bytes",
    ):
        assert f"\n{line}" in text
    assert ',status="500"' not in text
    for status in ("408", "413", "503"):
        assert f'status="{status}"' in text
