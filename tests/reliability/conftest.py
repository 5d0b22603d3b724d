"""What the tests of reliability share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability import scenarios, syscalls
from tests.reliability.harness import Harness


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Runs `sxvae` and kills it, or lets its operations on files fail."""
    reason = syscalls.why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    warm = Harness(tmp_path_factory.mktemp("harness"))
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def prepared(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, and the bundle, report and embeddings of the first. Not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    scenarios.prepare(harness, folder)
    return folder
