"""Stop a process at each system call that changes files, before the kernel carries it out.

Linux can ask another process about a system call (`seccomp` with user notifications). Nothing that
a process does to a file escapes it: extension modules in C and Rust are seen as well as Python. No
compiler and no debugger is needed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
import sys
from pathlib import Path
from typing import NamedTuple

# Numbers of the system calls that change files, for each kind of processor.
_NUMBERS = {
    "x86_64": {
        "write": 1, "open": 2, "mmap": 9, "pwrite64": 18, "writev": 20, "sendfile": 40,
        "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83,
        "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90,
        "fchmod": 91, "chown": 92, "fchown": 93, "openat": 257, "mkdirat": 258, "fchownat": 260,
        "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268,
        "utimensat": 280, "fallocate": 285, "pwritev": 296, "renameat2": 316,
        "copy_file_range": 326, "pwritev2": 328, "openat2": 437, "fchmodat2": 452,
    },
    "aarch64": {
        "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38,
        "truncate": 45, "ftruncate": 46, "fallocate": 47, "fchmod": 52, "fchmodat": 53,
        "fchownat": 54, "fchown": 55, "openat": 56, "write": 64, "writev": 66, "pwrite64": 68,
        "pwritev": 70, "sendfile": 71, "fsync": 82, "fdatasync": 83, "utimensat": 88, "mmap": 222,
        "renameat2": 276, "copy_file_range": 285, "pwritev2": 287, "openat2": 437,
        "fchmodat2": 452,
    },
}  # fmt: skip
_AUDITED_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# What the arguments of a call name: "p" a path, "d" the folder that the next path is relative to,
# "f" a file descriptor, "-" neither.
_ARGUMENTS = {
    "write": "f", "open": "p", "mmap": "----f", "pwrite64": "f", "writev": "f", "sendfile": "f",
    "fsync": "f", "fdatasync": "f", "truncate": "p", "ftruncate": "f", "rename": "pp",
    "mkdir": "p", "rmdir": "p", "creat": "p", "link": "pp", "unlink": "p", "symlink": "-p",
    "chmod": "p", "fchmod": "f", "chown": "p", "fchown": "f", "openat": "dp", "mkdirat": "dp",
    "fchownat": "dp", "unlinkat": "dp", "renameat": "dpdp", "linkat": "dpdp", "symlinkat": "-dp",
    "fchmodat": "dp", "utimensat": "dp", "fallocate": "f", "pwritev": "f", "renameat2": "dpdp",
    "copy_file_range": "--f", "pwritev2": "f", "openat2": "dp", "fchmodat2": "dp",
}  # fmt: skip

_CHANGING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FLAGS_ARGUMENT = {"open": 1, "openat": 2}
_WORKING_FOLDER = 2**32 - 100  # AT_FDCWD as an unsigned number of 32 bits
_EXCHANGE = 2

_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("QIIiIQ6Q")
_ANSWER = struct.Struct("QqiI")
_CONTINUE = 1
_NEW_LISTENER, _ONLY_KILLS_DISTURB = 1 << 3, 1 << 5


class Operation(NamedTuple):
    """A system call that is about to change a file.

    Attributes:
        number: of the call, as the kernel names it; an answer quotes it.
        name: "write", "rename", ...
        paths: what it is about to change; two for a renaming.
        creates: whether it makes a file.
        exchanges: whether it exchanges two files.
    """

    number: int
    name: str
    paths: tuple[str, ...]
    creates: bool
    exchanges: bool

    def __str__(self) -> str:
        return " ".join((self.name, *self.paths))


def why_unavailable() -> str | None:
    """Why system calls can't be intercepted here, or None if they can."""
    if sys.platform != "linux" or platform.machine() not in _NUMBERS:
        return "system calls are intercepted on Linux on x86_64 and aarch64 only"
    child = os.fork()
    if child == 0:
        try:
            intercept()
        except OSError:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return "the system refuses seccomp's user notifications" if status else None


def intercept() -> int:
    """Let this process, its threads and children ask before each call that changes a file.

    Returns:
        The descriptor on which another process receives the questions.

    Raises:
        OSError: if the system refuses.
    """
    program = _filter(platform.machine())
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    # A signal does not break off a question that is being answered.
    no_new_privileges, set_mode_filter, flags = 38, 1, _NEW_LISTENER | _ONLY_KILLS_DISTURB
    seccomp = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    if libc.prctl(no_new_privileges, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener = int(libc.syscall(seccomp, set_mode_filter, flags, header))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _filter(machine: str) -> list[bytes]:
    """The kernel's filter: which calls to ask about."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    def argument(index: int) -> int:
        return 16 + 8 * index

    numbers = dict(_NUMBERS[machine])
    steps = [
        step(_LOAD, 4),
        step(_JUMP_IF_EQUAL, _AUDITED_ARCHITECTURE[machine], 1, 0),
        step(_RETURN, _ALLOW),
        step(_LOAD, 0),
    ]
    for name, index in _FLAGS_ARGUMENT.items():
        if name in numbers:  # reading is no change
            steps += [
                step(_JUMP_IF_EQUAL, numbers.pop(name), 0, 4),
                step(_LOAD, argument(index)),
                step(_JUMP_IF_ANY_BIT, _CHANGING_FLAGS, 0, 1),
                step(_RETURN, _NOTIFY),
                step(_RETURN, _ALLOW),
            ]
    shared_or_anonymous, shared = 0x22, 0x00  # neither private nor without a file
    steps += [
        step(_JUMP_IF_EQUAL, numbers.pop("mmap"), 0, 5),
        step(_LOAD, argument(3)),
        step(_AND, shared_or_anonymous),
        step(_JUMP_IF_EQUAL, shared, 0, 1),
        step(_RETURN, _NOTIFY),
        step(_RETURN, _ALLOW),
    ]
    for number in numbers.values():
        steps += [step(_JUMP_IF_EQUAL, number, 0, 1), step(_RETURN, _NOTIFY)]
    return [*steps, step(_RETURN, _ALLOW)]


def receive(listener: int) -> Operation | None:
    """The next call that a process asks about; None if it died in the meantime."""
    names = {number: name for name, number in _NUMBERS[platform.machine()].items()}
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    number, thread, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
    name = names[call]
    try:
        paths = tuple(_paths(thread, _ARGUMENTS[name], arguments))
    except OSError:  # it died, or names no file
        paths = ()
    if name == "mmap" and not arguments[2] & 2:  # not to be written to
        paths = ()
    flags = arguments[_FLAGS_ARGUMENT[name]] if name in _FLAGS_ARGUMENT else 0
    creates = bool(flags & os.O_CREAT) or name in ("creat", "mkdir", "mkdirat", "openat2")
    return Operation(
        number, name, paths, creates, name == "renameat2" and arguments[4] == _EXCHANGE
    )


def let_pass(listener: int, operation: Operation) -> None:
    """Let the kernel carry out the call."""
    _answer(listener, operation, 0, _CONTINUE)


def fail(listener: int, operation: Operation, code: int) -> None:
    """Make the call fail with an error's number; nothing is changed."""
    _answer(listener, operation, -code, 0)


def _answer(listener: int, operation: Operation, error: int, flags: int) -> None:
    try:
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(operation.number, 0, error, flags))
    except OSError as problem:
        if problem.errno != errno.ENOENT:  # the process is gone
            raise


def _paths(thread: int, kinds: str, arguments: list[int]) -> list[str]:
    process = Path(f"/proc/{thread}")
    found, folder = [], (process / "cwd").readlink()
    for kind, value in zip(kinds, arguments, strict=False):
        opened = process / "fd" / str(value & 0xFFFFFFFF)
        if kind == "f":
            found.append(str(opened.readlink()))
        elif kind == "d" and value & 0xFFFFFFFF != _WORKING_FOLDER:
            folder = opened.readlink()
        elif kind == "p":
            found.append(os.path.normpath(folder / _text(thread, value)))
    return found


def _text(thread: int, address: int) -> str:
    """The text at an address of a process's memory."""
    if address == 0:
        raise FileNotFoundError("no path")
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 (no seeking there)
        content = b""
        while b"\0" not in content:
            memory.seek(address + len(content))
            room = 256 - (address + len(content)) % 256  # never across the end of a page
            content += memory.read(room)
    return os.fsdecode(content.split(b"\0")[0])
