"""sxvae-runtime serve, and sxvae serve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sxvae_runtime.command_line import options
from sxvae_runtime.command_line.console import say
from sxvae_runtime.command_line.extra import require
from sxvae_runtime.errors import SettingError

_PACKAGES = ("fastapi", "fastapi_offline", "PIL", "prometheus_client", "pydantic", "uvicorn")


def serve(
    bundle: options.Bundle,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")
    ] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the key that clients must send.",
            show_default="no key",
            callback=options.expanded,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Requests computed at once.", show_default="one a core"),
    ] = None,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Requests taken in at once; others are answered 503.")
    ] = 64,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Images or latent vectors in a request.")
    ] = 256,
    max_body: Annotated[int, typer.Option(min=1, help="MiB in a request's body.")] = 16,
    time_limit: Annotated[
        float,
        typer.Option(
            min=0.1, max=3600, help="Seconds for a request to arrive, and again to be computed."
        ),
    ] = 10,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Print a line for each request on stderr.")
    ] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Serve a bundle over HTTP: Open Inference Protocol v2, plain JSON or PNG, a page to explore.

    SIGTERM and Ctrl-C stop it once the requests that it took are answered. Needs no PyTorch.
    """
    require("serving", *_PACKAGES)
    key = None if api_key_file is None else _read_key(api_key_file)
    import sxvae_runtime
    from sxvae_runtime.serving import http_server
    from sxvae_runtime.serving.app import create_app
    from sxvae_runtime.serving.limits import Limits

    limits = Limits(
        body=max_body * 2**20,
        batch=max_batch,
        requests=max_requests,
        threads=threads or os.cpu_count() or 1,
        seconds=time_limit,
    )
    app = create_app(sxvae_runtime.load(bundle), limits, key)
    listener = http_server.listening_socket(host, port)
    actual = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    http_server.serve(
        app,
        listener,
        limits,
        access_log=access_log,
        say_started=lambda: say(f"serving {bundle} on http://{shown}:{actual}", quiet),
    )


def _read_key(path: Path) -> str:
    """The key in a file, without the white space around it.

    Raises:
        SettingError: if it can't be read, or is no key.
    """
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} can't be read as a key in ASCII: {error}") from error
    if not key or len(key.split()) > 1:
        raise SettingError(f"{path} must hold one key and nothing else")
    return key
