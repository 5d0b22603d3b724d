"""What a request passes before the application sees it: key, room, and a body within bounds."""

from __future__ import annotations

import asyncio
import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sxvae_cli.serving.answers import error_answer
from sxvae_cli.serving.limits import Limits
from sxvae_cli.serving.metrics import Metrics
from sxvae_cli.serving.workers import RETRY

# Who watches over the server needs no key to ask whether it lives.
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
    """Tells browsers to load nothing from elsewhere, and to guess no types."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, secured)


class BearerKey:
    """Turns away who does not show the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and not self._fits(scope):
            sentence = "a key is needed: send the header Authorization: Bearer KEY"
            answer = error_answer(401, sentence, {"WWW-Authenticate": "Bearer"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _fits(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # In constant time, so that the time taken tells nothing of the key.
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._key)
        return same and scheme.lower() == "bearer"


class Admission:
    """Lets in only so many requests with a body at once, and none that says it is too long."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics) -> None:
        self._app = app
        self._limits = limits
        self._gauge = metrics.inside
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if not _has_work(scope):
            await self._app(scope, receive, send)
        elif _declared_length(scope) > self._limits.body:
            await error_answer(413, _too_long(self._limits))(scope, receive, send)
        elif self._inside >= self._limits.requests:
            sentence = f"{self._inside} requests are being answered already; try again later"
            await error_answer(503, sentence, RETRY)(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._inside += 1
        self._gauge.set(self._inside)
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
            self._gauge.set(self._inside)


class WholeBody:
    """Reads the body to its end before the application starts, within the time there is for it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if not _has_work(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except HTTPException as refusal:
            await error_answer(refusal.status_code, refusal.detail)(scope, receive, send)
        except ClientDisconnect:
            return  # there is nobody to answer
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
    """Whether a request may ask for more than a page that is in memory already."""
    return bool(scope["type"] == "http" and scope["method"] == "POST")


def _declared_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _too_long(limits: Limits) -> str:
    return f"the body is longer than the limit of {limits.body:,} bytes"


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then what the connection has to say."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
