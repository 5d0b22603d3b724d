"""Commands that write, each with what may be at its place when it is cut short."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sxvae.errors import SxvaeError
from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.directory import RunDirectory, is_run, read_config
from tests.reliability.harness import Harness, Outcome
from tests.reliability.trees import Tree, differences, tree
from tests.reliability.warm import TRAINING, write_images

# Files of a user that lie beside ours, with names as temporary files have them.
ODD_FILES = (
    "runs/.run.backup.tmp",
    "runs/.run.2025.old",
    "runs/run/.notes.tmp",
    "runs/run/.last.safetensors.mine.tmp",
    ".bundle.backup.tmp",
    ".bundle.2025.old",
    ".report.html.mine.tmp",
    ".embeddings.npz.mine.tmp",
)
ODD_FOLDERS = ("runs/.run.folder.old", "runs/.run.folder.tmp", ".bundle.mine.tmp")


@dataclass(frozen=True)
class Scenario:
    """A command that writes.

    Attributes:
        args: the command.
        place: what it writes.
        replaces: whether there is an older one, which has to stay until the new one is whole.
        is_run: whether it writes a run, which grows; else it writes a file or folder in one piece.
        again: the command that is to work after it was cut short, from what is at its place.
    """

    args: tuple[str, ...]
    place: str
    replaces: bool
    is_run: bool
    again: Callable[[Path], tuple[str, ...]]


def _resumed_or(args: tuple[str, ...]) -> Callable[[Path], tuple[str, ...]]:
    """Go on with the run of seed 1 if it is there, else start it."""

    def again(place: Path) -> tuple[str, ...]:
        is_new = is_run(place) and _seed(place) == 1
        return ("train", "--resume", "run", "--quiet") if is_new else args

    return again


def _written(*args: str, place: str, replaces: bool) -> Scenario:
    first = (*args, "--quiet")
    forced = (*first, "--force")

    def again(found: Path) -> tuple[str, ...]:
        return forced if found.exists() else first

    return Scenario(forced if replaces else first, place, replaces, False, again)


_NEW_RUN = ("train", *TRAINING, "--seed", "1", "--name", "run", "--quiet")
_RESUME = ("train", "--resume", "run", "--epochs", "2", "--quiet")

SCENARIOS = {
    "train": Scenario(_NEW_RUN, "runs/run", False, True, _resumed_or(_NEW_RUN)),
    "train --force": Scenario(
        (*_NEW_RUN, "--force"), "runs/run", True, True, _resumed_or((*_NEW_RUN, "--force"))
    ),
    "train --resume": Scenario(_RESUME, "runs/run", True, True, lambda place: _RESUME),
    "export": _written(
        "export", "other", "--onnx", "--out", "bundle", place="bundle", replaces=False
    ),
    "export --force": _written(
        "export", "other", "--onnx", "--out", "bundle", place="bundle", replaces=True
    ),
    "report": _written("report", "other", place="report.html", replaces=False),
    "report --force": _written("report", "other", place="report.html", replaces=True),
    "encode": _written("encode", "other", place="embeddings.npz", replaces=False),
    "encode --force": _written("encode", "other", place="embeddings.npz", replaces=True),
}


def prepare(harness: Harness, folder: Path) -> None:
    """Fill a folder with two runs, and the bundle, report and embeddings of the first."""
    write_images(folder)
    for seed, name in (("0", "run"), ("1", "other")):
        succeed(harness, folder, "train", *TRAINING, "--seed", seed, "--name", name, "--quiet")
    succeed(harness, folder, "export", "run", "--onnx", "--out", "bundle", "--quiet")
    succeed(harness, folder, "report", "run", "--quiet")
    succeed(harness, folder, "encode", "run", "--quiet")


def succeed(harness: Harness, folder: Path, *args: str) -> None:
    """Run a command that has to end well."""
    done = harness.run(*args, cwd=folder)
    assert done.code == 0, f"{args}: {done.err}"


def start(scenario: Scenario, prepared: Path, work: Path, odd: bool = True) -> None:
    """Fill a folder with what there is before the command."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(prepared, work)
    if not scenario.replaces:
        place = work / scenario.place
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    if odd:
        for name in ODD_FOLDERS:
            (work / name).mkdir(exist_ok=True)
            (work / name / "kept").write_text("the user's")
        for name in ODD_FILES:
            if (work / name).parent.exists():
                (work / name).write_text("the user's")


@dataclass(frozen=True)
class Undisturbed:
    """What a command does when nothing happens to it.

    Attributes:
        operations: on files, in order.
        before: all files before it.
        after: all files after it.
    """

    operations: list[str]
    before: Tree
    after: Tree


def undisturbed(
    harness: Harness, scenario: Scenario, prepared: Path, work: Path, exchange_error: int | None
) -> Undisturbed:
    """Run a scenario's command with nothing happening to it."""
    start(scenario, prepared, work)
    before = tree(work)
    done = harness.run(*scenario.args, cwd=work, watched=work, exchange_error=exchange_error)
    assert done.code == 0, done.err
    return Undisturbed(done.operations, before, tree(work))


def until_in_place(scenario: Scenario, calm: Undisturbed) -> int:
    """How many operations it takes until the new one is in its place, and nothing else is left.

    A run grows after that, as a run that replaced nothing does.
    """
    beside = str(Path(scenario.place).parent / ".sxvae-tmp-")
    return 1 + max(i for i, operation in enumerate(calm.operations) if beside in operation)


def faults_at_place(scenario: Scenario, work: Path, calm: Undisturbed) -> list[str]:
    """What is wrong with what lies at a scenario's place, which must be the old or the new one."""
    place = work / scenario.place
    if not place.exists():
        return ["nothing is at its place"] if scenario.replaces else []
    if scenario.is_run:
        return _faults_of_run(place, scenario, work, calm)
    found = _part(tree(work), scenario.place)
    if found in (_part(calm.before, scenario.place), _part(calm.after, scenario.place)):
        return []
    return ["what is at its place is neither the old nor the new"]


def lost_files(work: Path) -> list[str]:
    """Which of the user's own files are gone, as far as the folder that held them still is one."""
    kept = [*ODD_FILES[:2], *ODD_FILES[4:], *(f"{name}/kept" for name in ODD_FOLDERS)]
    return [f"the user's {name} is gone" for name in kept if not (work / name).is_file()]


def faults_after(scenario: Scenario, work: Path, calm: Undisturbed, done: Outcome) -> list[str]:
    """What is wrong after the next command."""
    if done.code:
        return [f"the next command ends with {done.code}: {done.err.strip()}"]
    return [f"after the next command {fault}" for fault in differences(tree(work), calm.after)]


def _faults_of_run(place: Path, scenario: Scenario, work: Path, calm: Undisturbed) -> list[str]:
    run = RunDirectory(place)
    try:
        seed = _seed(place)
        if seed == 0 and "--resume" not in scenario.args:
            whole = _part(calm.before, scenario.place)
            return differences(_part(tree(work), scenario.place), whole)
        for path in (run.last, run.best) if seed == 0 or run.best.exists() else (run.last,):
            if read_checkpoint(path).settings.training.seed != seed:
                return [f"{path.name} is of another run than config.json"]
        epochs = read_checkpoint(run.last).metadata["epoch"]
        if len(run.read_metrics()) < epochs:
            return ["metrics.jsonl lacks epochs"]
        if run.evaluation.exists() and run.read_evaluation() is None:
            return ["evaluation.json is damaged"]
    except SxvaeError as error:
        return [f"it is half a run: {error}"]
    return []


def _seed(place: Path) -> int:
    return int(read_config(place / "config.json")["training"]["seed"])


def _part(whole: Tree, place: str) -> Tree:
    return {
        name: content
        for name, content in whole.items()
        if name == place or name.startswith(f"{place}/")
    }
