"""uvicorn with time limits for slow clients, and a shutdown that loses no request."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from sxvae_runtime.errors import SettingError
from sxvae_runtime.serving.limits import Limits

# For how many seconds connections that are open when the server stops may still begin a request.
_LAST_REQUESTS = 0.5


class _Config(uvicorn.Config):
    """uvicorn's settings, and for how many seconds a client may keep the server waiting."""

    client_timeout: float


class _TimedProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose client stops in the middle of a request.

    uvicorn itself waits forever for a request's header, and for a body that nobody reads.
    """

    config: _Config
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is not h11.IDLE:  # else uvicorn's own timer runs
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Run the timer while the server waits for the client; more bytes do not restart it."""
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if not (answered or self.conn.their_state is h11.IDLE):
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.config.client_timeout, self._close_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_late(self) -> None:
        self._timer = None
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            headers = [("Connection", "close"), ("Content-Length", "0")]
            late = h11.Response(status_code=408, headers=headers, reason=b"Request Timeout")
            self.transport.write(self.conn.send(late) or b"")
        self.transport.close()


class _GracefulServer(uvicorn.Server):
    """Reports when it has started, and answers all that was sent before it was told to stop."""

    def __init__(self, config: uvicorn.Config, say_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = say_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        self._say_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer what the connections have sent, and close them."""
        for server in self.servers:
            server.close()
        # Every response from now on says so, so that clients send no request that nobody reads.
        self.server_state.default_headers.append((b"connection", b"close"))
        deadline = asyncio.get_running_loop().time() + _LAST_REQUESTS
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def listening_socket(host: str, port: int) -> socket.socket:
    """A listening socket, bound to an address.

    Raises:
        SettingError: if there is no such address, or it is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise SettingError(f"the server can't listen on {host} port {port}: {reason}") from error


def serve(
    app: FastAPI,
    listener: socket.socket,
    limits: Limits,
    *,
    access_log: bool,
    say_started: Callable[[], None],
) -> None:
    """Serve until SIGTERM, or SIGINT, which is raised again once all requests are answered."""
    config = _Config(
        app,
        http=_TimedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(3 * limits.seconds) + 1,
    )
    config.client_timeout = limits.seconds
    if access_log:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
        logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    server = _GracefulServer(config, say_started)

    def stop(signum: int, frame: object) -> None:
        """For a SIGTERM that comes before uvicorn listens to it, or that it passes on."""
        server.should_exit = True

    signal.signal(signal.SIGTERM, stop)
    server.run(sockets=[listener])
