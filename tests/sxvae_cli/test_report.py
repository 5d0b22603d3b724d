"""sxvae report, as a process; and its page in a browser, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def page(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the run that the tests share."""
    folder = tmp_path_factory.mktemp("report")
    subprocess.run(
        [sys.executable, "-m", "sxvae_cli", "report", str(trained), "--threads", "1"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "report.html"


def test_the_page_holds_everything_and_asks_for_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "Metrics",
        "Training",
        "Reconstructions",
        "Samples",
        "Interpolation",
        "Component swapping",
        "Embedding",
        "Concentrations",
        "Settings",
    ]
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 8  # seven pictures and the page's icon
    assert all(source.startswith("data:") for source in sources)
    assert not re.search(r"url\(|@import|<script|<link rel=.stylesheet", text)
    for words in ("S^4 x S^2 x S^4", "log-likelihood", "±", "KL per factor", "batch size"):
        assert words in text


def test_a_run_with_a_circle_and_without_evaluation(cli: Cli, tmp_path: Path) -> None:
    name = "a&b"
    cli("train", "--z-dims", "1,2", "--epochs", "1", "--eval-samples", "0", "--name", name)
    done = cli("report", name, "--out", "r.html")
    assert done.stdout == "r.html\n"
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<h1>a&amp;b</h1>" in text
    assert "a&b" not in text
    assert "no evaluation yet" in text
    assert "<h2>Full turn</h2>" in text
    first = (tmp_path / "r.html").read_bytes()
    assert "--force" in cli("report", name, "--out", "r.html", code=1).stderr
    cli("report", name, "--out", "r.html", "--force")
    assert (tmp_path / "r.html").read_bytes() == first
    assert "no checkpoint or run" in cli("report", "nothing", "--out", "s.html", code=1).stderr
    assert not (tmp_path / "s.html").exists()


@pytest.mark.parametrize("width", [420, 1200])
def test_the_page_in_a_browser(page: Path, tmp_path: Path, width: int) -> None:
    """Every picture loads, nothing is wider than the window, and the console stays empty."""
    browsers = map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))
    browser = next((path for path in browsers if path), None)
    if browser is None:
        pytest.skip("there is no Chromium here")
    text = page.read_text(encoding="utf-8")
    policy = "default-src 'none'"
    assert policy in text  # the browser itself refuses every request to the outside
    measured = (
        "<script>addEventListener('load', () => { const images = [...document.images];"
        "document.title = 'loaded ' + images.filter(i => i.naturalWidth > 50).length + ' of ' +"
        "images.length + ', width ' + document.documentElement.scrollWidth })</script>"
    )
    probe = tmp_path / "probe.html"
    probe.write_text(
        text.replace(policy, f"{policy}; script-src 'unsafe-inline'").replace(
            "</head>", f"{measured}</head>"
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900"),
            *("--virtual-time-budget=5000", "--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = re.search(r"<title>loaded (\d+) of (\d+), width (\d+)</title>", done.stdout)
    assert found is not None, done.stdout[:500]
    assert found[1] == found[2] == "7"
    assert int(found[3]) <= max(width, 500)  # headless windows are no narrower than that
    assert "CONSOLE" not in done.stderr
