"""Responses: JSON that can always be encoded, and all errors in one shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sxvae_runtime import InputError


class ErrorResponse(BaseModel):
    """The body of every response that is not a success."""

    error: str


def json_bytes(content: dict[str, Any]) -> bytes:
    """JSON in ASCII: a client's text may hold lone surrogates, which UTF-8 can't encode."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def json_response(content: dict[str, Any]) -> Response:
    """A response with status 200."""
    return Response(json_bytes(content), media_type="application/json")


def error_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error in the form that the Open Inference Protocol prescribes."""
    return Response(json_bytes({"error": sentence}), status, headers, "application/json")


def error_descriptions(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation, for its OpenAPI description."""
    return {status: {"model": ErrorResponse} for status in statuses}


def first_problem(problems: list[ErrorDetails]) -> str:
    """The first problem that pydantic found, in a sentence; the whole list may be very long."""
    problem = problems[0]
    field = ".".join(str(step) for step in problem["loc"] if step != "body")
    return f"{field}: {problem['msg']}" if field else problem["msg"]


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of an application a response of the one shape."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(Exception, _unexpected_error)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, error.headers)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = list(error.errors())
    if problems[0]["type"] == "json_invalid":
        return error_response(400, "the body is not JSON")
    if problems[0]["loc"] == ("body",) and not _is_declared_json(request):
        return error_response(415, "send JSON, with the header Content-Type: application/json")
    return error_response(422, first_problem(problems))


def _is_declared_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().endswith("json")


def _input_error(request: Request, error: Exception) -> Response:
    return error_response(422, str(error))


def _unexpected_error(request: Request, error: Exception) -> Response:
    return error_response(500, "the server failed on this request; its log has the traceback")
