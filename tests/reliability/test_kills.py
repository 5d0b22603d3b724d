"""Kill a command before each operation on a file: the old or the new one is there, whole."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.reliability.harness import KILLED, Harness
from tests.reliability.scenarios import (
    SCENARIOS,
    Scenario,
    Undisturbed,
    faults_after,
    faults_at_place,
    lost_files,
    start,
    undisturbed,
)

# A file system that can exchange two names, and one that can't.
_EXCHANGE = {"exchange": None, "no exchange": errno.EINVAL}


@pytest.mark.parametrize("exchange", _EXCHANGE)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_before_any_operation_leaves_the_old_or_the_new_one(
    harness: Harness, prepared: Path, tmp_path: Path, name: str, exchange: str
) -> None:
    scenario, error = SCENARIOS[name], _EXCHANGE[exchange]
    if error is not None and name not in ("train --force", "export --force"):
        pytest.skip("it exchanges nothing")
    calm = undisturbed(harness, scenario, prepared, tmp_path / "work", error)
    faults: list[str] = []
    for index, operation in enumerate(calm.operations):
        work = tmp_path / "work"
        start(scenario, prepared, work)
        found = _faults_of_kill(harness, scenario, calm, work, index, error)
        faults += [f"{index}: {operation}: {fault}" for fault in found]
    print(f"{name}, {exchange}: killed before each of {len(calm.operations)} operations")
    assert not faults, "\n".join(faults)


def _faults_of_kill(
    harness: Harness,
    scenario: Scenario,
    calm: Undisturbed,
    work: Path,
    index: int,
    exchange_error: int | None,
) -> list[str]:
    killed = harness.run(
        *scenario.args, cwd=work, watched=work, kill_at=index, exchange_error=exchange_error
    )
    assert killed.code == KILLED, killed.err
    faults = faults_at_place(scenario, work, calm) + lost_files(work)
    again = scenario.again(work / scenario.place)
    done = harness.run(*again, cwd=work, watched=work, exchange_error=exchange_error)
    return faults + faults_after(scenario, work, calm, done) + lost_files(work)
