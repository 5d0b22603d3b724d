"""Let each operation on a file fail: one sentence, nothing half, and it works with room again."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.reliability.harness import Harness, Outcome
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
from tests.reliability.trees import differences, tree
from tests.reliability.warm import TRAINING, write_images

_MARK = ".sxvae-tmp-"
_NEEDS_NO_ROOM = ("rename", "unlink", "rmdir", "chmod", "fchmod", "utimensat")

# Other reasons for which an operation fails, each tried before a few operations of every command.
_OTHER_ERRORS = (errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_disk_that_is_full_from_any_operation_on(
    harness: Harness, prepared: Path, tmp_path: Path, name: str
) -> None:
    scenario = SCENARIOS[name]
    calm = undisturbed(harness, scenario, prepared, tmp_path / "work", None)
    count = len(calm.operations)
    if name == "train --force":  # the rest is as without --force
        count = until_in_place(scenario, calm)
    faults: list[str] = []
    for index, operation in enumerate(calm.operations[:count]):
        if operation.startswith(_NEEDS_NO_ROOM):  # what fails first is a later one
            continue
        work = tmp_path / "work"
        start(scenario, prepared, work)
        done = harness.run(*scenario.args, cwd=work, watched=work, fail_from=index)
        found = _faults(harness, scenario, calm, work, done, errno.ENOSPC)
        faults += [f"{index}: {operation}: {fault}" for fault in found]
    print(f"full from each of {count} operations on")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", SCENARIOS)
def test_another_error_of_the_system(
    harness: Harness, prepared: Path, tmp_path: Path, name: str
) -> None:
    """A quota, a broken disk, one that can only be read, and a folder without permission."""
    scenario = SCENARIOS[name]
    calm = undisturbed(harness, scenario, prepared, tmp_path / "work", None)
    faults: list[str] = []
    for number, code in enumerate(_OTHER_ERRORS):
        for index in range(number, len(calm.operations), 4 * len(_OTHER_ERRORS)):
            work = tmp_path / "work"
            start(scenario, prepared, work)
            done = harness.run(
                *scenario.args,
                cwd=work,
                watched=work,
                fail_from=index,
                fail_to=index,
                fail_all=True,
                error=code,
            )
            found = _faults(harness, scenario, calm, work, done, code)
            operation = calm.operations[index]
            faults += [f"{index}: {operation}: {errno.errorcode[code]}: {each}" for each in found]
    assert not faults, "\n".join(faults)


def _faults(
    harness: Harness,
    scenario: Scenario,
    calm: Undisturbed,
    work: Path,
    done: Outcome,
    code: int,
) -> list[str]:
    """What is wrong after a command of which an operation failed, and after the next one."""
    if done.code == 0:  # it could do without, as where a temporary file can't be removed yet
        left = {name: content for name, content in tree(work).items() if _MARK not in name}
        return [f"it ends with 0, but {fault}" for fault in differences(left, calm.after)]
    faults = faults_at_place(scenario, work, calm) + lost_files(work)
    lines = done.err.strip().splitlines()
    if done.code != 1 or len(lines) != 1 or os.strerror(code) not in lines[0]:
        faults.append(f"it ends with {done.code} and says {lines}")
    elif "unexpected" in lines[0]:
        faults.append(f"it says {lines[0]}")
    left = tree(work)
    if not scenario.is_run and left != calm.after:  # as where only flushing its folder failed
        faults += [f"it fails and {fault}" for fault in differences(left, calm.before)]
    again = harness.run(*scenario.again(work / scenario.place), cwd=work)
    return faults + faults_after(scenario, work, calm, again)


def test_a_full_disk_where_training_draws_and_logs(harness: Harness, tmp_path: Path) -> None:
    """TensorBoard writes in a thread of its own, whose traceback nobody wants to see."""
    write_images(tmp_path)
    logging = ("--tensorboard", "--sample-every", "1", "--name", "run", "--quiet")
    start, resume = ("train", *TRAINING, *logging), ("train", "--resume", "run", "--quiet")
    calm = harness.run(*start, cwd=tmp_path, watched=tmp_path)
    for index, operation in enumerate(calm.operations):
        if "/tensorboard" in operation or "/samples" in operation:
            shutil.rmtree(tmp_path / "runs")
            done = harness.run(*start, cwd=tmp_path, watched=tmp_path, fail_from=index)
            if done.code:  # else what failed was the removal of a temporary file
                assert done.code == 1
                assert len(done.err.strip().splitlines()) == 1, f"{index}: {operation}: {done.err}"
                assert os.strerror(errno.ENOSPC) in done.err
            resumed = harness.run(*resume, cwd=tmp_path)
            assert resumed.code == 0, resumed.err


def test_a_temporary_folder_that_is_full(harness: Harness, prepared: Path, tmp_path: Path) -> None:
    """Export needs the system's folder for temporary files only for what is not to be kept."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    elsewhere.mkdir()
    start(SCENARIOS["export"], prepared, work, odd=False)
    done = harness.run(
        *SCENARIOS["export"].args,
        cwd=work,
        watched=elsewhere,
        fail_from=0,
        environment={"TMPDIR": str(elsewhere)},
    )
    assert done.code == 0 or "unexpected" not in done.err, done.err
