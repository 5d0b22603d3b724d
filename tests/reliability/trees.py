"""The content of folders, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Keys whose values are times, and differ from run to run.
_TIMES = ("started", "seconds")

# What a killed process has locked stays there, and is free.
_LOCK = ".sxvae-lock"

Tree = dict[str, bytes]


def tree(folder: Path) -> Tree:
    """Every file under a folder with its content but for times, and every folder, as "name/".

    A run's lock is left out.
    """
    return {
        f"{path.relative_to(folder)}/" if path.is_dir() else str(path.relative_to(folder)): (
            b"" if path.is_dir() else _content(path)
        )
        for path in sorted(folder.rglob("*"))
        if path.name != _LOCK
    }


def differences(found: Tree, wanted: Tree) -> list[str]:
    """What one tree has too much, too little and of other content than another."""
    return [
        *(f"{name} is left behind" for name in found.keys() - wanted.keys()),
        *(f"{name} is missing" for name in wanted.keys() - found.keys()),
        *(
            f"{name} has another content"
            for name in found.keys() & wanted.keys()
            if found[name] != wanted[name]
        ),
    ]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.parent.name == "tensorboard":
        return b"events"
    if path.suffix not in (".json", ".jsonl"):
        return content
    try:
        lines = content.split(b"\n") if path.suffix == ".jsonl" else [content]
        return b"\n".join(
            json.dumps(_timeless(json.loads(line))).encode() for line in lines if line
        )
    except ValueError:
        return content


def _timeless(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: "a time" if key in _TIMES else entry for key, entry in value.items()}
