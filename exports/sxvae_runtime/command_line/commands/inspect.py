"""sxvae-runtime inspect, and what `sxvae inspect` shows of a bundle or a checkpoint."""

from __future__ import annotations

from typing import Any

from sxvae_runtime.bundle_files import read_manifest
from sxvae_runtime.command_line import options
from sxvae_runtime.command_line.console import print_json, print_table


def inspect(
    bundle: options.Bundle,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a bundle holds, its checksums verified."""
    show(f"bundle {bundle}", read_manifest(bundle).content, json)


def show(title: str, content: dict[str, Any], json: bool) -> None:
    """Print nested names and values as a table, or as one JSON document."""
    if json:
        print_json(content)
    else:
        print_table(title, _rows(content))


def _rows(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """One row for each entry, nested names joined with dots; tensors as type and shape.

    What a list of named values holds is counted from 1, as factors are in pictures.
    """
    rows = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if _is_tensor(value):
            rows.append((name, f"{value['dtype']} {tuple(value['shape'])}"))
        elif isinstance(value, dict):
            rows += _rows(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            rows += _rows({str(i): entry for i, entry in enumerate(value, start=1)}, f"{name}.")
        else:
            rows.append((name, _text(value)))
    return rows


def _is_tensor(value: Any) -> bool:  # noqa: ANN401 (anything that JSON has)
    """Whether this is what stands for a tensor; other programs may use the same names."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape"}:
        return False
    return isinstance(value["dtype"], str) and isinstance(value["shape"], list)


def _text(value: Any) -> str:  # noqa: ANN401 (anything that JSON has)
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
