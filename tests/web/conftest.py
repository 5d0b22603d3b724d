"""The explorer as a user has it: a website or a server, and a browser without any other network."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page, Route, sync_playwright

from sxvae_cli.lazy import COMMANDS
from sxvae_runtime.errors import PageNotBuiltError
from sxvae_runtime.page import page_files

# Chromium finds no address but this machine's.
_NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@dataclass
class Explorer:
    """The page of one model in a browser's tab.

    Attributes:
        page: the tab.
        url: where the page is.
        foreign: the requests that would have left this machine.
        seconds: what loading took, to the first picture or to the page's complaint.
    """

    page: Page
    url: str
    foreign: list[str] = field(default_factory=list)
    seconds: float = 0

    def open(self) -> None:
        start = time.perf_counter()
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-state=ready], html[data-state=failed]")
        self.seconds = time.perf_counter() - start

    def factor(self, index: int) -> Locator:
        return self.page.locator(f"[data-factor='{index}']")

    def shown(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The latent vector that is shown once the page is at rest, and its pixels."""
        rest = """async () => {
            const frame = () => new Promise(requestAnimationFrame);
            let before;
            do { before = sxvae.decoded; await frame(); await frame(); await frame(); }
            while (sxvae.decoded !== before);
            return [Array.from(sxvae.shown.z), Array.from(sxvae.shown.image)];
        }"""
        z, image = self.page.evaluate(rest)
        return np.array(z, np.float32), np.array(image, np.float32)

    def colours(self, canvas: str, index: int = 0) -> NDArray[np.float64]:
        """What one of the canvases with a selector shows, (H, W, 3) in [0, 1]."""
        read = """(canvases, index) => {
            const { width, height } = canvases[index];
            const context = canvases[index].getContext("2d");
            return [[height, width, 4], [...context.getImageData(0, 0, width, height).data]];
        }"""
        shape, values = self.page.locator(canvas).evaluate_all(read, index)
        return np.array(values).reshape(shape)[..., :3] / 255

    def evaluate(self, code: str) -> Any:
        return self.page.evaluate(code)


Explore = Callable[..., Explorer]
Website = Callable[[Path], Path]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", _NO_NETWORK]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def page() -> dict[str, bytes]:
    """The page's files."""
    try:
        return page_files()
    except PageNotBuiltError as error:
        pytest.skip(str(error))


@pytest.fixture
def website(page: dict[str, bytes], tmp_path: Path) -> Website:
    """Put the page beside a copy of a bundle."""

    def build(bundle: Path) -> Path:
        folder = tmp_path / "website"
        for name, content in page.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        shutil.copytree(bundle, folder / "bundle")
        return folder

    return build


@contextlib.contextmanager
def static_host(folder: Path) -> Iterator[str]:
    """Python's own web server, under an address that is not the host's root."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    handler = functools.partial(Handler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{folder.name}/"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def sxvae_serve(folder: Path) -> Iterator[str]:
    """`sxvae serve` on the website's bundle."""
    command = [sys.executable, "-m", "sxvae_cli", "serve", str(folder / "bundle"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert " on http://" in line, line + process.stderr.read()
        yield f"{line.split(' on ')[1].strip()}/"
        process.terminate()


HOSTS = {"static": static_host}
if "serve" in COMMANDS:
    HOSTS["served"] = sxvae_serve


@pytest.fixture
def explore(browser: Browser) -> Iterator[Explore]:
    """Open a website's page; `host` is a name in `HOSTS`, other options are the browser's."""
    with contextlib.ExitStack() as stack:

        def start(folder: Path, host: str = "static", **options: Any) -> Explorer:
            url = stack.enter_context(HOSTS[host](folder))
            context = stack.enter_context(contextlib.closing(browser.new_context(**options)))
            context.set_default_timeout(20_000)
            explorer = Explorer(context.new_page(), url)

            def guard(route: Route) -> None:
                if route.request.url.startswith(url):
                    route.continue_()
                else:
                    explorer.foreign.append(route.request.url)
                    route.abort()

            context.route("**/*", guard)
            explorer.open()
            return explorer

        yield start


class Exported(NamedTuple):
    """What `sxvae export --web` wrote, and what it said with --json."""

    folder: Path
    said: dict[str, Any]


@pytest.fixture(scope="session")
def exported(
    page: dict[str, bytes], trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    """A website of `trained`, made by the command line."""
    folder = tmp_path_factory.mktemp("web") / "website"
    command = [sys.executable, "-m", "sxvae_cli", "export", str(trained), "--web", str(folder)]
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    return Exported(folder, json.loads(done.stdout))
