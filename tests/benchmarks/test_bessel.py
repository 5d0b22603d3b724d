"""The benchmark of the Bessel functions in its reduced form, as its user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_prints_a_row_for_each_order_and_every_value_is_finite(tmp_path: Path) -> None:
    measurements = tmp_path / "measurements.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "bessel", "--reduced", "--json", str(measurements)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(measurements.read_text(encoding="utf-8"))["benchmarks"]
    orders = {
        measurement["what"].rpartition(" ")[2]: measurement for measurement in found["measurements"]
    }
    assert {"0.5", "1.5", "4", "9", "24", "49", "50", "500"} == orders.keys()
    for order, measurement in orders.items():
        assert f"| {measurement['what']} |" in done.stdout
        assert measurement["detail"]["ours_finite"] == 1.0
        assert measurement["target"] == (1.0 if float(order) <= 50 else None)
