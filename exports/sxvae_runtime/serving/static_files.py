"""Static files: the explorer's page, the bundle's files and the page of the API's description.

All are read into memory at the start, so that no path of a request reaches the file system.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from sxvae_runtime import Bundle
from sxvae_runtime.errors import PageNotBuiltError
from sxvae_runtime.page import page_files
from sxvae_runtime.serving.responses import error_response

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}

_DOCS_PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>sxvae model server</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_DOCS_SCRIPT = b'SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui"});\n'
_DOCS_FILES = ("favicon.png", "swagger-ui-bundle.js", "swagger-ui.css")


def add_static_files(app: FastAPI, bundle: Bundle) -> None:
    """Serve the page at `/`, the bundle under `/bundle` and the API's description at `/docs`."""
    _add(app, "/docs", _DOCS_PAGE, "text/html")
    for name, content in _docs_files().items():
        _add(app, f"/docs/{name}", content)
    for name, content in bundle.files().items():
        _add(app, f"/bundle/{name}", content)
    try:
        page = page_files()
    except PageNotBuiltError as error:
        _add_not_found(app, str(error))
        return
    _add(app, "/", page["index.html"], "text/html")
    for name, content in page.items():
        _add(app, f"/{name}", content)


def _docs_files() -> dict[str, bytes]:
    """Swagger UI from a package that contains it; FastAPI's own page loads it from the network."""
    static = files("fastapi_offline") / "static"
    found = {name: static.joinpath(name).read_bytes() for name in _DOCS_FILES}
    return {**found, "start.js": _DOCS_SCRIPT}


def _add(app: FastAPI, path: str, content: bytes, media_type: str | None = None) -> None:
    kind = media_type or _TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")
    headers: Mapping[str, str] = {"Cache-Control": "no-cache"}

    async def send(request: Request) -> Response:
        return Response(content, headers=headers, media_type=kind)

    app.add_route(path, send, methods=["GET"], include_in_schema=False)


def _add_not_found(app: FastAPI, sentence: str) -> None:
    async def refuse(request: Request) -> Response:
        return error_response(404, sentence)

    app.add_route("/", refuse, methods=["GET"], include_in_schema=False)
