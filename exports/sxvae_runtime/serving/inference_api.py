"""The Open Inference Protocol v2 over HTTP: health, metadata and inference."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sxvae_runtime import InputError, __version__
from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.serving.models import Model
from sxvae_runtime.serving.responses import error_descriptions
from sxvae_runtime.serving.tensors import (
    DATATYPE,
    HEADER_LENGTH,
    Encoded,
    InferRequest,
    TensorError,
    encode_response,
    read_request,
)
from sxvae_runtime.serving.workers import Workers

VERSION = "1"
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}, **_BYTES}},
    **error_descriptions(400, 404, 408, 413, 415, 503),
}

_NAMES = {"enum": ["encoder", "decoder", "sampler"]}  # a bundle may lack the last
ModelName = Annotated[str, Path(json_schema_extra=_NAMES)]
Version = Annotated[str, Path(json_schema_extra={"enum": [VERSION]})]


class ServerMetadata(BaseModel):
    """The server's name, version and extensions."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor; -1 in its shape is the batch."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def inference_api(models: dict[str, Model], workers: Workers, limits: Limits) -> APIRouter:
    """The protocol for a bundle's models."""
    router = APIRouter(prefix="/v2", tags=["inference"])

    def known(name: str, version: str = VERSION) -> Model:
        if name not in models:
            there = ", ".join(models)
            raise HTTPException(404, f"there is no model {name!r}; there are {there}")
        if version != VERSION:
            raise HTTPException(404, f"the {name} has no version {version!r}; it has {VERSION}")
        return models[name]

    async def respond(model: Model, request: Request) -> Response:
        body, length = await request.body(), request.headers.get(HEADER_LENGTH)
        encoded = await workers.run(lambda: _inferred(model, body, length, limits))
        if encoded.header_length is None:
            return Response(encoded.body, media_type="application/json")
        headers = {HEADER_LENGTH: str(encoded.header_length)}
        return Response(encoded.body, headers=headers, media_type="application/octet-stream")

    @router.post(
        "/models/{model}/infer",
        responses=_RESPONSES,
        openapi_extra=_infer_body(),
        summary="Run a model",
    )
    async def infer(model: ModelName, request: Request) -> Response:
        return await respond(known(model), request)

    @router.post(
        "/models/{model}/versions/{version}/infer",
        responses=_RESPONSES,
        openapi_extra=_infer_body(),
        summary="Run a version of a model",
    )
    async def infer_of_version(model: ModelName, version: Version, request: Request) -> Response:
        return await respond(known(model, version), request)

    @router.get("", summary="Server metadata")
    async def server() -> ServerMetadata:
        return ServerMetadata(name="sxvae", version=__version__, extensions=["binary_tensor_data"])

    @router.get("/health/live", response_class=Response, summary="Whether the server runs")
    @router.get("/health/ready", response_class=Response, summary="Whether it takes requests")
    async def healthy() -> Response:
        return Response()

    @router.get("/models/{model}", responses=error_descriptions(404), summary="Model metadata")
    async def metadata(model: ModelName) -> ModelMetadata:
        return _metadata(known(model))

    @router.get(
        "/models/{model}/versions/{version}",
        responses=error_descriptions(404),
        summary="Metadata of a version",
    )
    async def metadata_of_version(model: ModelName, version: Version) -> ModelMetadata:
        return _metadata(known(model, version))

    @router.get(
        "/models/{model}/ready",
        response_class=Response,
        responses=error_descriptions(404),
        summary="Whether a model is ready",
    )
    async def ready(model: ModelName) -> Response:
        known(model)
        return Response()

    @router.get(
        "/models/{model}/versions/{version}/ready",
        response_class=Response,
        responses=error_descriptions(404),
        summary="Whether a version is ready",
    )
    async def ready_of_version(model: ModelName, version: Version) -> Response:
        known(model, version)
        return Response()

    return router


def _inferred(model: Model, body: bytes, header_length: str | None, limits: Limits) -> Encoded:
    """Decode a request, run the model and encode the response, on a worker's thread."""
    try:
        inference = read_request(body, header_length, model, limits.batch)
        return encode_response(inference, model, model.compute(inference.arrays))
    except (TensorError, InputError) as error:
        raise HTTPException(400, str(error)) from error


def _metadata(model: Model) -> ModelMetadata:
    return ModelMetadata(
        name=model.name,
        versions=[VERSION],
        platform="onnxruntime_onnx",
        inputs=_tensors(model.inputs),
        outputs=_tensors(model.outputs),
    )


def _tensors(ports: dict[str, tuple[int, ...]]) -> list[TensorMetadata]:
    return [
        TensorMetadata(name=name, datatype=DATATYPE, shape=[-1, *row])
        for name, row in ports.items()
    ]


def _infer_body() -> dict[str, Any]:
    """The OpenAPI description of a body that FastAPI can't parse: bytes may follow the JSON."""
    schema = InferRequest.model_json_schema()
    content = {
        "application/json": {"schema": _inlined(schema, schema.pop("$defs"))},
        **_BYTES,
    }
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 (any part of a JSON schema)
    """A schema with its references replaced by what they refer to."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(part, definitions) for key, part in schema.items()}
