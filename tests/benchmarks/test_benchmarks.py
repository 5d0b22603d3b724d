"""Every benchmark in its reduced form, as its user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module", ["accuracy", "gradient_bias", "samplers", "importance_weights", "stability"]
)
def test_every_bound_holds(module: str) -> None:
    done = _run(module, "--reduced")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) > 8
    assert len({row.count("|") for row in rows}) == 1
    assert "Every bound holds." in done.stdout


@pytest.mark.parametrize("name", ["loop", "sampling"])
def test_speed_is_a_table_with_targets(name: str, tmp_path: Path) -> None:
    done = _run("__main__", name, "--reduced", "--json", tmp_path / "measurements.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "measurements.json").read_text(encoding="utf-8"))
    (benchmark,) = found["benchmarks"]
    assert benchmark["name"] == name
    assert len([line for line in done.stdout.splitlines() if line.startswith("|")]) >= 4
    assert any(measurement["target"] for measurement in benchmark["measurements"])
    assert all(measurement["ratio"] > 0 for measurement in benchmark["measurements"])
    assert found["environment"]["torch"]


def test_speed_is_drawn_from_its_measurements(tmp_path: Path) -> None:
    """The measurements are read from the file of an earlier run; nothing is measured again."""
    measurements = tmp_path / "measurements.json"
    done = _run("__main__", "step", "growth", "--reduced", "--json", measurements)
    assert done.returncode == 0, done.stderr
    done = _run("__main__", "--from-json", measurements, "--pictures", tmp_path / "pictures")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    drawn = {path.name: path.read_text() for path in (tmp_path / "pictures").iterdir()}
    assert set(drawn) == {"performance-growth.svg", "performance-limits.svg"}
    assert "dimension of one sphere" in drawn["performance-growth.svg"]
    assert "step, eight 4" in drawn["performance-limits.svg"]


def test_choices_have_no_target() -> None:
    done = _run("__main__", "choices", "--reduced")
    assert done.returncode == 0, done.stderr
    assert "| one thread, MLP, 8x8 |" in done.stdout


def test_an_unknown_benchmark_is_refused() -> None:
    done = _run("__main__", "fast")
    assert done.returncode == 2
    assert "no benchmark fast; choose from step" in done.stderr


def test_evaluation_prints_its_table_and_writes_its_measurements(tmp_path: Path) -> None:
    done = _run("__main__", "evaluation", "--reduced", "--json", tmp_path / "measurements.json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "measurements.json").read_text())["benchmarks"]
    times, memory = found["measurements"][:2], found["measurements"][2:]
    assert [measurement["detail"]["samples"] for measurement in times + memory] == [10, 50, 10, 50]
    assert all(measurement["ratio"] > 0 for measurement in times)
    for measurement in memory:
        assert measurement["target"] == 200
        assert (
            measurement["ratio"]
            == measurement["detail"]["mib"] - measurement["detail"]["limit_mib"]
        )
        assert (
            f"| {measurement['what']} | {measurement['detail']['limit_mib']:.0f} MiB |"
            in done.stdout
        )


def test_baselines() -> None:
    done = _run("baselines")
    assert done.returncode == 0, done.stderr
    assert "every pixel at 1/2: -44.4 nats" in done.stdout


def test_serving() -> None:
    done = _run("serving", "--reduced")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "| sxvae serve, 32 clients, 2 s |" in done.stdout
    assert "| bare onnxruntime loop |" in done.stdout
    statuses = {int(status) for status in re.findall(r"x (\d{3})", done.stdout)}
    assert statuses == {200, 400, 404, 413, 422}
    assert "Every bound holds." in done.stdout


def test_pictures(tmp_path: Path) -> None:
    done = _run("pictures", "--reduced", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "density.png").read_bytes().startswith(b"\x89PNG")
    for name in ("accuracy.svg", "gradient_bias.svg"):
        assert "concentration k" in (tmp_path / name).read_text(encoding="utf-8")


def test_the_diagram_of_the_guide_shows_the_contract(tmp_path: Path) -> None:
    """The committed picture names every package and room that CI checks the imports of."""
    done = _run("architecture", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "architecture.svg").read_text(encoding="utf-8")
    committed = (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in contracts["tool"]["importlinter"]["contracts"]:
        for row in contract.get("layers", []):
            for name in row.split(" : "):
                assert f">{name}<" in drawn
                assert f">{name}<" in committed


def test_a_broken_bound_is_named_and_ends_in_an_error() -> None:
    program = "from benchmarks.report import finish; finish(['KL at p = 2: 1 > 0'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "KL at p = 2: 1 > 0" in done.stderr
    assert "holds" not in done.stdout


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("runtime", ("decode, 1 image", "encode, 256 images", "sample, 4096 images")),
        ("startup", ("sxvae --help", "sxvae sample BUNDLE --n 16")),
    ],
)
def test_the_runtime_and_start_up_are_measured(
    name: str, cases: tuple[str, ...], tmp_path: Path
) -> None:
    found = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks", name, "--reduced", "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (benchmark,) = json.loads(found.read_text())["benchmarks"]
    ratios = {
        measurement["what"]: measurement["ratio"] for measurement in benchmark["measurements"]
    }
    for case in cases:
        assert f"| {case} |" in done.stdout
        assert ratios[case] > 0
