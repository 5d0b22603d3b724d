"""The ASGI application: the inference and REST APIs, metrics, static files and middleware."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import PlainTextResponse, Response

from sxvae_runtime import Bundle, __version__
from sxvae_runtime.serving.examples import add_examples
from sxvae_runtime.serving.inference_api import inference_api
from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.serving.metrics import MeasuredRequests, Metrics
from sxvae_runtime.serving.middleware import Admission, BearerKey, SecurityHeaders, WholeBody
from sxvae_runtime.serving.models import models_of
from sxvae_runtime.serving.responses import add_error_handlers
from sxvae_runtime.serving.rest_api import rest_api
from sxvae_runtime.serving.static_files import add_static_files
from sxvae_runtime.serving.workers import Workers

_DESCRIPTION = """A product-space hyperspherical VAE. Latent vectors hold the factors side by side,
points of norm 1 on each sphere."""


def create_app(bundle: Bundle, limits: Limits, key: str | None = None) -> FastAPI:
    """The server's ASGI application.

    Args:
        bundle: what `sxvae_runtime.load` returned.
        limits: the bounds on requests.
        key: the bearer key that clients must send; none is needed if None.

    Raises:
        BundleError: if onnxruntime can't load the bundle's sampler, the decoder's values are not
            finite, or a file of the bundle was changed since it was loaded.
    """
    metrics = Metrics()
    workers = Workers(limits, metrics)
    models = models_of(bundle)
    app = FastAPI(
        title="sxvae model server",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(MeasuredRequests, metrics),
            Middleware(SecurityHeaders),
            *([] if key is None else [Middleware(BearerKey, key)]),
            Middleware(Admission, limits, metrics),
            Middleware(RequestBodyLimitMiddleware, max_body_size=limits.body),
            Middleware(WholeBody, limits),
        ],
    )
    add_error_handlers(app)
    app.include_router(inference_api(models, workers, limits))
    app.include_router(rest_api(bundle, models, workers, limits))

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Metrics in Prometheus' format",
        tags=["monitoring"],
    )
    async def show_metrics() -> Response:
        return metrics.response()

    add_static_files(app, bundle)
    add_examples(app, bundle)  # last: no route enters the OpenAPI description after this
    return app
