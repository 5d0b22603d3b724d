"""The application: a bundle's models behind their interfaces, and what protects them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import PlainTextResponse, Response

import sxvae
from sxvae_cli.serving.answers import add_error_answers
from sxvae_cli.serving.examples import add_examples
from sxvae_cli.serving.files import add_files
from sxvae_cli.serving.gate import Admission, BearerKey, SecurityHeaders, WholeBody
from sxvae_cli.serving.inference_api import inference_api
from sxvae_cli.serving.limits import Limits
from sxvae_cli.serving.metrics import MeasuredRequests, Metrics
from sxvae_cli.serving.models import models_of
from sxvae_cli.serving.people_api import people_api
from sxvae_cli.serving.workers import Workers
from sxvae_runtime import Bundle

_DESCRIPTION = """A product-space hyperspherical VAE. Latent vectors hold the factors side by side,
points of norm 1 on each sphere."""


def create_app(bundle: Bundle, limits: Limits, key: str | None = None) -> FastAPI:
    """The server's ASGI application.

    Args:
        bundle: what `sxvae_runtime.load` returned.
        limits: what a request may take.
        key: what clients must send as their bearer key; none if None.

    Raises:
        BundleError: if onnxruntime can't load the bundle's sampler.
    """
    metrics = Metrics()
    workers = Workers(limits, metrics)
    models = models_of(bundle)
    app = FastAPI(
        title="sxvae serve",
        version=sxvae.__version__,
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
    add_error_answers(app)
    app.include_router(inference_api(models, workers, limits))
    app.include_router(people_api(bundle, models, workers, limits))

    @app.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Figures for Prometheus",
        tags=["watching"],
    )
    async def figures() -> Response:
        return metrics.page()

    add_files(app, bundle)
    add_examples(app, bundle)  # last: a new route would have the description made anew
    return app
