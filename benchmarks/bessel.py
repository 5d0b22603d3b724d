"""Log I_v beside SciPy's exponentially scaled Bessel function and a logarithm."""

from __future__ import annotations

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.performance import Finding, Measurement, seconds_cell, target_cell, timed
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, interleaved
from sxvae.distributions.special.bessel import log_bessel_i

ORDERS = [0.5, 1.5, 4.0, 9.0, 24.0, 49.0, 50.0]
BEYOND = [500.0]  # measured without a target
ARGUMENTS, FEWER_ARGUMENTS = 1_000_000, 20_000
TARGET = 1.0


def arguments(count: int) -> Tensor:
    """Random arguments from 0.1 to 1,000, uniform in their logarithm."""
    return 10 ** (torch.rand(count, dtype=torch.float64) * 4 - 1)


def by_scipy(order: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        values: NDArray[np.float64] = np.log(scipy.special.ive(order, x)) + x
    return values


def measure(order: float, x: Tensor, rounds: int) -> tuple[Measurement, list[str]]:
    """Measure one order; returns the measurement and its row of the table."""
    array = x.numpy()
    tasks = {"SciPy": lambda: by_scipy(order, array), "ours": lambda: log_bessel_i(order, x)}
    timings = interleaved(tasks, rounds)
    finite = {
        "scipy_finite": float(np.isfinite(by_scipy(order, array)).mean()),
        "ours_finite": float(torch.isfinite(log_bessel_i(order, x)).double().mean()),
    }
    target = TARGET if order in ORDERS else None
    measurement = timed(
        f"log I_v, order {order:g}", timings["ours"], timings["SciPy"], target, **finite
    )
    cells = [seconds_cell(timings[name]) for name in ("SciPy", "ours")]
    shares = [f"{share:.1%}" for share in finite.values()]
    return measurement, [
        measurement.what,
        *cells,
        f"{measurement.ratio:.2f}",
        *shares,
        target_cell(measurement),
    ]


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x = arguments(FEWER_ARGUMENTS if reduced else ARGUMENTS)
    rounds = FEWER_ROUNDS if reduced else ROUNDS
    measured = [measure(order, x, rounds) for order in (*ORDERS, *BEYOND)]
    return Finding(
        "bessel",
        f"log_bessel_i of {len(x):,} float64 arguments from 0.1 to 1,000 over "
        "scipy.special.ive and a logarithm.",
        [measurement for measurement, _ in measured],
        ["what", "SciPy", "sxvae", "ratio", "SciPy finite", "sxvae finite", "target"],
        [row for _, row in measured],
    )
