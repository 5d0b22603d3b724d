"""A server that is told to stop still responds to the requests that it has."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sxvae_runtime

CLIENTS = 8


class _Client(threading.Thread):
    """Sends one request after another over one connection, until the server says it is the last."""

    def __init__(self, port: int, body: bytes) -> None:
        super().__init__()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._body = body
        self.responses: list[tuple[int, bytes]] = []
        self.closed_politely = False

    def run(self) -> None:
        while not self.closed_politely:
            self._connection.request(
                "POST", "/decode", self._body, {"Content-Type": "application/json"}
            )
            response = self._connection.getresponse()
            self.responses.append((response.status, response.read()))
            self.closed_politely = response.getheader("connection") == "close"
        self._connection.close()


def test_sigterm_during_load_loses_no_request(
    start_server: Callable[..., Any], bundle: Path, runtime: sxvae_runtime.Bundle
) -> None:
    process, port = start_server(bundle)
    z = runtime.sample_prior(3, seed=0)
    body = json.dumps({"z": z.tolist()}).encode()
    clients = [_Client(port, body) for _ in range(CLIENTS)]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
        head = "POST /decode HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
        slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        for client in clients:
            client.start()
        deadline = time.monotonic() + 20
        while min(len(client.responses) for client in clients) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join(30)
        slow.sendall(body[10:])
        response = b""
        while part := slow.recv(65536):
            response += part
    assert response.startswith(b"HTTP/1.1 200 ")
    assert all(client.closed_politely for client in clients)
    bodies = [response.partition(b"\r\n\r\n")[2]]
    for client in clients:
        assert {status for status, _ in client.responses} == {200}
        bodies += [found for _, found in client.responses]
    assert len(set(bodies)) == 1
    np.testing.assert_allclose(json.loads(bodies[0])["x"], runtime.decode(z), atol=1e-6)
    assert process.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_ctrl_c_ends_like_any_other_command(start_server: Callable[..., Any], bundle: Path) -> None:
    process, port = start_server(bundle)
    with socket.create_connection(("127.0.0.1", port)):
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert process.stderr.read() == "interrupted\n"
