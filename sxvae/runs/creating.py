"""Start a run: its name, and its folder, which appears with all that makes it a run."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sxvae.config import RunSettings
from sxvae.errors import ConfigError
from sxvae.io.atomic import writing
from sxvae.io.folders import put_in_place, refuse_dangling_links, refuse_folder, staged_beside
from sxvae.runs.directory import RunDirectory, is_run
from sxvae.runs.lock import RunLock, locked, refuse_locked
from sxvae_runtime.files.staging import Staging
from sxvae_runtime.text import printable, shown


@dataclass(frozen=True)
class NewRun:
    """A run that takes shape.

    Attributes:
        directory: its files where they will be.
        staged: its files where they are written before it is put in place.
    """

    directory: RunDirectory
    staged: RunDirectory
    _stage: Staging
    _lock: RunLock
    _force: bool

    def put_in_place(self) -> None:
        """Let the run appear at its name, and an older one vanish, in one step.

        Raises:
            OutputError: if there is another run of the name, and it may not be replaced.
        """
        path = self.directory.path
        with writing(path):
            put_in_place(
                self._stage, path, self._force, is_run, lambda old: locked(old, shown=path)
            )
        self._lock.run = path
        self._stage.remove()


def refuse_name(runs_dir: Path, name: str, force: bool) -> None:
    """Refuse a name that a new run can't have.

    Raises:
        ConfigError: if it is not a plain file name.
        OutputError: if it exists and may not be replaced, or is being written.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{shown(name)} is no name for a run: it is text")
    is_plain = name.strip() and name == Path(name).name and name[0] not in ".~"
    if not is_plain or len(os.fsencode(name)) > 200:
        raise ConfigError(
            f"{shown(name)} is no name for a run: it has at most 200 bytes, no slash and no "
            "leading dot or ~, and it is not blank"
        )
    if printable(name) != name:
        raise ConfigError(
            f"{shown(name)} is no name for a run: it has characters that are not text, which could "
            "steer a terminal"
        )
    path = runs_dir / name
    refuse_folder(path, force, is_run)
    refuse_locked(path)


@contextlib.contextmanager
def new_run(
    runs_dir: Path, name: str | None, settings: RunSettings, force: bool
) -> Iterator[NewRun]:
    """A new run for the block, which writes the files that make it a run and puts it in place.

    The run's lock is held until the block ends. If the block raises before the run is in place,
    nothing is left of it, and an older run of the name stays.

    Args:
        runs_dir: where runs are kept.
        name: the run's; None for one that no other run has, on no machine.
        settings: the run's.
        force: replace an older run of that name.

    Raises:
        ConfigError: if `name` is not a plain file name.
        OutputError: if the name exists and may not be replaced, or the folder can't be written.
    """
    if name is not None:
        refuse_name(runs_dir, name, force)
    with contextlib.ExitStack() as stack:
        with writing(runs_dir):
            refuse_dangling_links(runs_dir)
            beside = (runs_dir / (name or "any")).resolve()
            stage = stack.enter_context(staged_beside(beside))
            stage.new.mkdir()
        path = runs_dir / (name or _automatic_name(runs_dir, settings, stage.code))
        lock = stack.enter_context(locked(stage.new, shown=path))
        yield NewRun(RunDirectory(path, lock), RunDirectory(stage.new), stage, lock, force)


def _automatic_name(runs_dir: Path, settings: RunSettings, code: str) -> str:
    """A name that sorts by time, and that no other run has.

    Runs that take shape at the same time have different codes, here and on other machines, because
    their staging folders lie side by side. So nobody else can take a name that is free.
    """
    while True:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{_plain(settings.data.label)}-{settings.model.space.slug}-{now}-{code}"
        if not (runs_dir / name).exists():
            return name
        time.sleep(0.1)


def _plain(label: str) -> str:
    """A data set's label with only those characters that a run's name may have."""
    plain = re.sub(r"[^\w.+-]+", "_", label).lstrip("._-")
    return plain.encode()[:80].decode(errors="ignore") or "images"
