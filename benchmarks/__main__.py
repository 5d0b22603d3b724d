"""The speed of training, sampling, evaluation, applications and commands: `python -m benchmarks`.

Each benchmark compares the program with its limit or a peer, interleaved in one process with two
threads. Of a limit the fastest run counts, of everything else the median.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.performance import Finding
from benchmarks.report import parser
from benchmarks.speed_pictures import draw

# Each is a module with `run(reduced) -> Finding`.
NAMES = [
    *("step", "loop", "growth", "choices", "sampling", "bessel", "evaluation", "runtime"),
    "startup",
]
# These are run only where they are named.
OTHERS = ["step_processor_time"]
_PACKAGES = ["sxvae", "torch", "numpy", "scipy", "onnxruntime"]
_PEERS = ["power-spherical", "pythae", "tensorflow-probability", "jax"]


def environment() -> dict[str, Any]:
    """The hardware and the versions that the measurements were made with."""
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(name) for name in (*_PACKAGES, *_PEERS)},
    }


def _processor() -> str:
    """The processor's model name where the system tells it, else its architecture."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which to run, of {', '.join([*NAMES, *OTHERS])} (default: all but the last)",
    )
    options.add_argument("--json", type=Path, metavar="FILE", help="write the measurements there")
    options.add_argument(
        "--from-json",
        type=Path,
        metavar="FILE",
        help="read the measurements from there and make none",
    )
    options.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw the measurements there"
    )
    arguments = options.parse_args()
    unknown = set(arguments.names) - {*NAMES, *OTHERS}
    if unknown:
        known = ", ".join([*NAMES, *OTHERS])
        options.error(f"no benchmark {', '.join(sorted(unknown))}; choose from {known}")
    if arguments.from_json:
        content = json.loads(arguments.from_json.read_text(encoding="utf-8"))
    else:
        content = measured(arguments.names or NAMES, arguments.reduced)
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    if arguments.pictures:
        draw(content["benchmarks"], arguments.pictures)


def measured(names: list[str], reduced: bool) -> dict[str, Any]:
    """Run benchmarks and print their tables; returns all measurements for JSON."""
    known = environment()
    print(", ".join(f"{key} {value}" for key, value in known.items() if value))
    findings: list[Finding] = []
    for name in names:
        finding: Finding = importlib.import_module(f"benchmarks.{name}").run(reduced)
        finding.show()
        findings.append(finding)
    return {"environment": known, "benchmarks": [each.as_dict() for each in findings]}


if __name__ == "__main__":
    main()
