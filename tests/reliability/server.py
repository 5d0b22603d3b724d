"""Runs `sxvae` again and again in children of one warm process, under interventions.

`python -m tests.reliability.server` reads a request a line and answers each with a line; see
`tests.reliability.harness`. PyTorch and the packages beside it take seconds to import and to use
for the first time. The server has done that; a forked child is at its work in milliseconds.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.reliability import syscalls
from tests.reliability.warm import warm_up

# What needs room on the disk; a renaming or a deletion does not.
_NEEDS_ROOM = {
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range",
    "fallocate", "ftruncate", "truncate", "fsync", "fdatasync", "mkdir", "mkdirat", "link",
    "linkat", "symlink", "symlinkat", "creat",
}  # fmt: skip


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the warm-up prints is no answer
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        warm_up()
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy all of this process's memory
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _run(request, theirs)
    theirs.close()
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    operations: list[str] = []
    if descriptors:
        operations = _supervise(child, descriptors[0], request)
        os.close(descriptors[0])
    status = os.waitpid(child, 0)[1]
    return {"code": os.waitstatus_to_exitcode(status), "operations": operations}


def _run(request: dict[str, Any], parent: socket.socket) -> None:
    """Be `sxvae` with the request's arguments; never returns."""
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    for target, name in ((1, "stdout"), (2, "stderr")):
        descriptor = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv = ["sxvae", *request["args"]]
    if request["watched"] is None:
        parent.send(b" ")
    else:
        listener = syscalls.intercept()
        socket.send_fds(parent, [b" "], [listener])
        os.close(listener)
    parent.close()
    from sxvae_cli.main import main as command

    code = 1
    try:
        command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _supervise(child: int, listener: int, request: dict[str, Any]) -> list[str]:
    """Answer each of the child's questions as the request says, until it ends."""
    seen: list[str] = []
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        events = poll.poll()
        if not any(event & select.POLLIN for _, event in events):
            return seen
        operation = syscalls.receive(listener)
        if operation is None:
            continue
        if not _concerns(operation, request["watched"]):
            syscalls.let_pass(listener, operation)
            continue
        seen.append(str(operation))
        if len(seen) - 1 == request["kill_at"]:
            os.kill(child, signal.SIGKILL)
            return seen
        if len(seen) - 1 == request["interrupt_at"]:
            os.kill(child, signal.SIGINT)
        code = _failure(operation, len(seen) - 1, request)
        if code is None:
            syscalls.let_pass(listener, operation)
        else:
            seen[-1] += " [failed]"
            syscalls.fail(listener, operation, code)


def _concerns(operation: syscalls.Operation, watched: str) -> bool:
    return any(Path(path).is_relative_to(watched) for path in operation.paths)


def _failure(operation: syscalls.Operation, index: int, request: dict[str, Any]) -> int | None:
    """The number of the error with which the operation fails; None if it may go on."""
    if operation.exchanges and request["exchange_errno"]:
        return int(request["exchange_errno"])
    first, last = request["fail_from"], request["fail_to"]
    if first is None or index < first or (last is not None and index > last):
        return None
    if request["fail_all"] or operation.name in _NEEDS_ROOM:
        return int(request["errno"])
    makes = operation.creates and not Path(operation.paths[0]).exists()
    return int(request["errno"]) if makes else None


if __name__ == "__main__":
    main()
