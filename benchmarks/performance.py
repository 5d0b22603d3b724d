"""What a speed benchmark returns: its measurements, and the table that shows them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.report import print_table
from benchmarks.timing import Timing, over_limit


@dataclass(frozen=True)
class Measurement:
    """One measured ratio.

    Attributes:
        what: the case, as in the table's first column.
        ratio: the program's time or rate over that of its limit.
        target: the bound on the ratio; None where there is none, as for other packages.
        at_least: whether the target is a lower bound (a rate) instead of an upper one (a time).
        detail: what else is kept in the JSON: seconds, percentiles, the case's parameters.
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
    """A benchmark's measurements and its table.

    Attributes:
        name: of the benchmark, as in `python -m benchmarks NAME`.
        title: a sentence that says what is measured against what.
        measurements: one for each row of the table.
        header: the table's columns.
        rows: the cells of each row.
    """

    name: str
    title: str
    measurements: list[Measurement]
    header: list[str]
    rows: list[list[str]]

    def show(self) -> None:
        """Print the title and the table as Markdown."""
        print(f"\n## {self.name}\n\n{self.title}\n")
        print_table(self.header, self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Name, title and measurements, as JSON can hold them."""
        measurements = [
            {**asdict(measurement), "met": measurement.met} for measurement in self.measurements
        ]
        return {"name": self.name, "title": self.title, "measurements": measurements}


# A benchmark takes `reduced` (a few rounds of small cases, to test that it runs).
Benchmark = Callable[[bool], Finding]


def timed(
    what: str, ours: Timing, limit: Timing, target: float | None, **detail: object
) -> Measurement:
    """The ratio of a task's time to its limit's, of which the target is the largest allowed."""
    low, high = ours.spread
    seconds = {"limit_best": limit.best, "median": ours.median, "p10": low, "p90": high}
    kept = {"seconds": seconds, "ratio_of_medians": ours.median / limit.median, **detail}
    return Measurement(what, over_limit(ours, limit), target, detail=kept)


def ratio_cells(measurement: Measurement) -> list[str]:
    """Cells for a measurement of `timed`: ratio to the limit's best run, and ratio of medians."""
    return [f"{measurement.ratio:.2f}", f"{measurement.detail['ratio_of_medians']:.2f}"]


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


def target_cell(measurement: Measurement) -> str:
    """The target and whether it is met."""
    if measurement.target is None:
        return ""
    sign = "at least" if measurement.at_least else "at most"
    return f"{sign} {measurement.target:g}: {'met' if measurement.met else 'missed'}"


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
