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
    until_in_place,
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_before_any_operation_leaves_the_old_or_the_new_one(
    harness: Harness, prepared: Path, tmp_path: Path, name: str
) -> None:
    _kill_before_each(harness, SCENARIOS[name], prepared, tmp_path / "work", None)


@pytest.mark.parametrize("name", ["train --force", "export --force"])
def test_a_kill_where_names_can_not_be_exchanged(
    harness: Harness, prepared: Path, tmp_path: Path, name: str
) -> None:
    """As on NFS. Between two renames nothing is there, until the next command looks for it."""
    _kill_before_each(harness, SCENARIOS[name], prepared, tmp_path / "work", errno.EINVAL)


# Where two commands go on with the same operations, the kills among those are tried with one.
def _kill_before_each(
    harness: Harness, scenario: Scenario, prepared: Path, work: Path, exchange_error: int | None
) -> None:
    calm = undisturbed(harness, scenario, prepared, work, exchange_error)
    count = len(calm.operations)
    if exchange_error is not None or not scenario.replaces:
        count = until_in_place(scenario, calm)
    faults: list[str] = []
    for index, operation in enumerate(calm.operations[:count]):
        start(scenario, prepared, work)
        found = _faults_of_kill(harness, scenario, calm, work, index, exchange_error)
        faults += [f"{index}: {operation}: {fault}" for fault in found]
    print(f"killed before each of {count} operations")
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
    place = work / scenario.place
    if exchange_error is not None and not place.exists():
        looked = harness.run("inspect", scenario.place, cwd=work)
        if looked.code or "was being replaced" not in looked.err:
            return [f"inspect does not complete the replacement: {looked.err}"]
    faults = faults_at_place(scenario, work, calm) + lost_files(work)
    again = scenario.again(place)
    done = harness.run(*again, cwd=work, watched=work, exchange_error=exchange_error)
    return faults + faults_after(scenario, work, calm, done) + lost_files(work)
