"""What a speed benchmark finds: tables for people, figures for programs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.report import print_table
from benchmarks.timing import Timing, over_limit


@dataclass(frozen=True)
class Figure:
    """One measured ratio.

    Attributes:
        what: the case, as in the table's first column.
        ratio: of the program to its limit.
        target: what the ratio is to stay within; None where there is no target (a peer, say).
        at_least: whether the target is a lower bound (a rate) instead of an upper one (a time).
        detail: whatever else is worth keeping: seconds, percentiles.
    """

    what: str
    ratio: float
    target: float | None = None
    at_least: bool = False
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


@dataclass(frozen=True)
class Finding:
    """The figures of a benchmark.

    Attributes:
        name: the benchmark's.
        title: a sentence that says what is measured against what.
        figures: a row of the table each.
        header: the table's columns.
        rows: its cells.
    """

    name: str
    title: str
    figures: list[Figure]
    header: list[str]
    rows: list[list[str]]

    def show(self) -> None:
        """Print it as Markdown."""
        print(f"\n## {self.name}\n\n{self.title}\n")
        print_table(self.header, self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        figures = [{**asdict(figure), "met": figure.met} for figure in self.figures]
        return {"name": self.name, "title": self.title, "figures": figures}


# A benchmark: from `reduced` (a few rounds of small cases, to test that it runs) to what it found.
Benchmark = Callable[[bool], Finding]


def timed(what: str, ours: Timing, limit: Timing, target: float | None, **detail: object) -> Figure:
    """The figure of a task beside its limit: times, so that less is better."""
    low, high = ours.spread
    seconds = {"limit_best": limit.best, "median": ours.median, "p10": low, "p90": high}
    kept = {"seconds": seconds, "ratio_of_medians": ours.median / limit.median, **detail}
    return Figure(what, over_limit(ours, limit), target, detail=kept)


def ratio_cells(figure: Figure) -> list[str]:
    """Of a figure that `timed` made: to the limit's best run, and of medians."""
    return [f"{figure.ratio:.2f}", f"{figure.detail['ratio_of_medians']:.2f}"]


def seconds_cell(timing: Timing) -> str:
    """Median and percentiles, in a unit that fits."""
    low, high = timing.spread
    scale, unit = next(
        (scale, unit)
        for scale, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns"))
        if timing.median * scale >= 1 or unit == "ns"
    )
    median, low, high = (value * scale for value in (timing.median, low, high))
    return f"{median:.3g} {unit} ({low:.3g} to {high:.3g})"


def target_cell(figure: Figure) -> str:
    """The target and whether it is met."""
    if figure.target is None:
        return ""
    sign = "at least" if figure.at_least else "at most"
    return f"{sign} {figure.target:g}: {'met' if figure.met else 'missed'}"


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
