"""Metrics for Prometheus, which `/metrics` shows."""

from __future__ import annotations

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "sxvae_requests", "Requests answered.", ["method", "path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "sxvae_request_seconds",
            "From a request's header to the end of its response.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.waits = Histogram(
            "sxvae_queue_wait_seconds",
            "How long requests waited for a thread.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.computing = Histogram(
            "sxvae_compute_seconds",
            "How long a thread took for a request.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_progress = Gauge(
            "sxvae_requests_in_progress",
            "Requests being read, waiting or being computed.",
            registry=registry,
        )

    def response(self) -> Response:
        """All of them in Prometheus' text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class MeasuredRequests:
    """Counts and times every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: the ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = "none"  # the client left before there was a response

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = "500"
            raise
        finally:
            path = _template(scope)
            self._metrics.requests.labels(_method(scope), path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - start)


def _template(scope: Scope) -> str:
    """The path as declared, because each path that clients write would be a label of its own."""
    return str(getattr(scope.get("route"), "path", "other"))


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST") else "other"
