"""What every answer is made with: JSON that always can be sent, and errors in one shape."""

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


class ErrorAnswer(BaseModel):
    """Any answer that is not a success."""

    error: str


def json_bytes(content: dict[str, Any]) -> bytes:
    """JSON in ASCII: what a client sent may hold characters that UTF-8 has no bytes for."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def json_answer(content: dict[str, Any]) -> Response:
    """A success."""
    return Response(json_bytes(content), media_type="application/json")


def error_answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as the Open Inference Protocol has it."""
    return Response(json_bytes({"error": sentence}), status, headers, "application/json")


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that an operation's description lists."""
    return {status: {"model": ErrorAnswer} for status in statuses}


def first_problem(problems: list[ErrorDetails]) -> str:
    """What pydantic found first, in a sentence: all of it may be longer than the request."""
    problem = problems[0]
    place = ".".join(str(step) for step in problem["loc"] if step != "body")
    return f"{place}: {problem['msg']}" if place else problem["msg"]


def add_error_answers(app: FastAPI) -> None:
    """Give every error of an application the shape that the protocol wants."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misshapen)
    app.add_exception_handler(InputError, _wrong_input)
    app.add_exception_handler(Exception, _failed)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer(error.status_code, error.detail, error.headers)


def _misshapen(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = list(error.errors())
    if problems[0]["type"] == "json_invalid":
        return error_answer(400, "the body is not JSON")
    if problems[0]["loc"] == ("body",) and not _says_json(request):
        return error_answer(415, "send JSON, with the header Content-Type: application/json")
    return error_answer(422, first_problem(problems))


def _says_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().endswith("json")


def _wrong_input(request: Request, error: Exception) -> Response:
    return error_answer(422, str(error))


def _failed(request: Request, error: Exception) -> Response:
    return error_answer(500, "the server failed on this request; its log says where")
