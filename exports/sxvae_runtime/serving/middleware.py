"""Middleware: security headers, the key, and bounds on requests and their bodies."""

from __future__ import annotations

import asyncio
import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.serving.metrics import Metrics
from sxvae_runtime.serving.responses import error_response
from sxvae_runtime.serving.workers import RETRY

# Monitoring may ask for the server's health without the key.
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")

_SECURITY_HEADERS = {
    # The page's script compiles WebAssembly, and draws pictures that it made itself.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class SecurityHeaders:
    """Tells browsers to load nothing from other servers, and not to guess content types."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: the ASGI interface."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, secured)


class BearerKey:
    """Answers 401 to requests without the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: the ASGI interface."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._has_key(scope):
            sentence = "a key is needed: send the header Authorization: Bearer KEY"
            answer = error_response(401, sentence, {"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # In constant time, so that response times reveal nothing about the key.
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._key)
        return same and scheme.lower() == "bearer"


class Admission:
    """Bounds how many requests are in progress, and refuses a stated length over the limit."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._gauge = metrics.in_progress
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: the ASGI interface."""
        if not _has_work(scope):
            await self._app(scope, receive, send)
        elif _declared_length(scope) > self._limits.body:
            await error_response(413, _too_long(self._limits))(scope, receive, send)
        elif self._in_progress >= self._limits.requests:
            sentence = f"{self._in_progress} requests are in progress already; try again later"
            await error_response(503, sentence, RETRY)(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._in_progress += 1
        self._gauge.set(self._in_progress)
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress -= 1
            self._gauge.set(self._in_progress)


class WholeBody:
    """Reads the whole body before the application starts, within the time limit."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: the ASGI interface."""
        if not _has_work(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except HTTPException as refusal:
            await error_response(refusal.status_code, refusal.detail)(scope, receive, send)
        except ClientDisconnect:
            return  # the client is gone
        else:
            await self._app(scope, _replaying(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        if Headers(scope=scope).get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "the body is compressed; send it as it is")
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await Request(scope, receive).body()
        except TimeoutError:
            sentence = f"the body did not arrive within {self._limits.seconds:g} s"
            raise HTTPException(408, sentence) from None
        except HTTPException:  # of RequestBodyLimitMiddleware: a body of no stated length
            raise HTTPException(413, _too_long(self._limits)) from None


def _has_work(scope: Scope) -> bool:
    """Whether a request has a body to read and a model to run; the others come from memory."""
    return bool(scope["type"] == "http" and scope["method"] == "POST")


def _declared_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_long(limits: Limits) -> str:
    return f"the body is longer than the limit of {limits.body:,} bytes"


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Pass on the body that was read, then the messages that come after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
