"""Run `sxvae` so that it is killed, or that an operation on a file fails, at a chosen moment."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
KILLED = -9


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: the exit status; -9 after a kill.
        operations: what it did to files under the watched folder, in order.
        out: its standard output.
        err: its standard error.
    """

    code: int
    operations: list[str]
    out: str
    err: str


class Harness:
    """A warm process whose children run `sxvae`.

    Args:
        folder: for what the commands print, and the process's own files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        environment = {
            "OMP_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
        }
        self._log = (folder / "server.log").open("w")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **environment},
        )
        if self._from_server().readline() != "ready\n":
            raise RuntimeError((folder / "server.log").read_text())

    def run(
        self,
        *args: str | Path,
        cwd: Path,
        watched: Path | None = None,
        kill_at: int | None = None,
        interrupt_at: int | None = None,
        fail_from: int | None = None,
        fail_to: int | None = None,
        fail_all: bool = False,
        error: int = errno.ENOSPC,
        exchange_error: int | None = None,
        environment: dict[str, str] | None = None,
    ) -> Outcome:
        """Run `sxvae`.

        Args:
            args: its arguments.
            cwd: the working folder.
            watched: the folder whose operations are counted; those elsewhere go on undisturbed.
            kill_at: the index of the operation before which the process is killed.
            interrupt_at: that of the operation during which Ctrl-C arrives.
            fail_from: the index of the first operation that fails.
            fail_to: that of the last; None if the error stays.
            fail_all: whether operations fail that need no room on the disk.
            error: what they fail with.
            exchange_error: what an exchange of two files by renaming fails with.
            environment: variables to set.
        """
        printed = {name: str(self._folder / name) for name in ("stdout", "stderr")}
        request = {
            "args": [str(arg) for arg in args],
            "cwd": str(cwd),
            "watched": None if watched is None else str(watched.resolve()),
            "kill_at": kill_at,
            "interrupt_at": interrupt_at,
            "fail_from": fail_from,
            "fail_to": fail_to,
            "fail_all": fail_all,
            "errno": error,
            "exchange_errno": exchange_error,
            "environment": environment or {},
            **printed,
        }
        assert self._server.stdin is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        line = self._from_server().readline()
        if not line:
            raise RuntimeError((self._folder / "server.log").read_text())
        out, err = (Path(path).read_text(errors="replace") for path in printed.values())
        return Outcome(**json.loads(line), out=out, err=err)

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._from_server().close()
        self._log.close()

    def _from_server(self) -> IO[str]:
        assert self._server.stdout is not None
        return self._server.stdout
