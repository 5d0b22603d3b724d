"""Drawing samples, beside normalised normals and the samplers of other packages.

100,000 distinct (loc, k) in float32, every k the same in a row. The limit is the least that any
sampler does: as many normals, normalised. Peers are the `power-spherical` package and TensorFlow
Probability on JAX where they are installed (extra `bench`), and SciPy's von Mises-Fisher, which
knows a single (loc, k), in float64.
"""

from __future__ import annotations

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from benchmarks.performance import Finding, Measurement, installed, seconds_cell, target_cell
from benchmarks.timing import FEWER_ROUNDS, ROUNDS, Task, Timing, interleaved
from sxvae.distributions import PowerSpherical, VonMisesFisher

# Targets by p: the least share of the limit's rate. With a gradient: the most times as long.
TARGETS = {3: None, 5: 0.25, 10: 0.25, 50: 0.5, 200: 0.5}
GRADIENT_TARGET = 2.5
CONCENTRATIONS = [1.0, 10.0, 100.0]
SAMPLES, FEWER_SAMPLES = 100_000, 2_000
LIMIT, WITH_GRADIENT = "normals", "vMF with gradient"


def tfp_sampler(loc: Tensor, k: Tensor) -> Task:
    """TensorFlow Probability's sampler, compiled by JAX; each call has a new random key."""
    import jax
    from tensorflow_probability.substrates import jax as tfp

    def draw(loc: object, k: object, key: object) -> object:
        return tfp.distributions.VonMisesFisher(loc, k).sample(seed=key)

    sample, parameters = jax.jit(draw), (jax.numpy.asarray(loc), jax.numpy.asarray(k))
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 10_000))
    return lambda: sample(*parameters, next(keys)).block_until_ready()


def power_spherical_sampler(loc: Tensor, k: Tensor) -> Task:
    import power_spherical

    q = power_spherical.PowerSpherical(loc, k, validate_args=False)
    return lambda: q.sample()


def scipy_sampler(loc: Tensor, k: Tensor) -> Task:
    single = loc[0].double() / loc[0].double().norm()
    q = scipy.stats.vonmises_fisher(single.numpy(), float(k[0]))  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    return lambda: q.rvs(len(loc), random_state=generator)


def with_gradient(loc: Tensor, k: Tensor) -> Task:
    """Draw samples, and differentiate their sum."""
    ones = torch.ones_like(loc)

    def task() -> None:
        leaves = loc.detach().requires_grad_(), k.detach().requires_grad_()
        VonMisesFisher(*leaves, validate_args=False).rsample().backward(ones)

    return task


def samplers(ambient: int, concentration: float, samples: int) -> dict[str, Task]:
    loc = torch.nn.functional.normalize(torch.randn(samples, ambient), dim=-1)
    k = torch.full((samples,), concentration)
    tasks: dict[str, Task] = {
        LIMIT: lambda: torch.nn.functional.normalize(torch.randn(samples, ambient), dim=-1),
        "vMF": VonMisesFisher(loc, k, validate_args=False).sample,
        WITH_GRADIENT: with_gradient(loc, k),
        "power spherical": PowerSpherical(loc, k, validate_args=False).sample,
        "SciPy, one (loc, k)": scipy_sampler(loc, k),
    }
    if installed("power_spherical"):
        tasks["power-spherical package"] = power_spherical_sampler(loc, k)
    if installed("tensorflow_probability") and installed("jax"):
        tasks["TFP on JAX"] = tfp_sampler(loc, k)
    return tasks


def measurements_of(
    ambient: int, concentration: float, timings: dict[str, Timing], limit: float
) -> list[tuple[Measurement, Timing]]:
    found = []
    for name, timing in timings.items():
        low, high = timing.spread
        seconds = {"limit_best": limit, "median": timing.median, "p10": low, "p90": high}
        detail = {"p": ambient, "k": concentration, "sampler": name, "seconds": seconds}
        what = f"{name}, p = {ambient}, k = {concentration:g}"
        if name == WITH_GRADIENT:
            ratio = timing.median / timings["vMF"].median
            measurement = Measurement(what, ratio, GRADIENT_TARGET, detail=detail)
        else:
            target = TARGETS[ambient] if name == "vMF" else None
            measurement = Measurement(
                what, limit / timing.median, target, at_least=True, detail=detail
            )
        found.append((measurement, timing))
    return found


def run(reduced: bool) -> Finding:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    samples, rounds = (FEWER_SAMPLES, FEWER_ROUNDS) if reduced else (SAMPLES, ROUNDS // 2)
    measurements, rows = [], []
    for ambient in TARGETS:
        timings = {k: interleaved(samplers(ambient, k, samples), rounds) for k in CONCENTRATIONS}
        limit = min(each[LIMIT].best for each in timings.values())  # the same for every k
        for k, each in timings.items():
            for measurement, timing in measurements_of(ambient, k, each, limit):
                measurements.append(measurement)
                cells = [measurement.what, seconds_cell(timing), f"{measurement.ratio:.2f}"]
                rows.append([*cells, target_cell(measurement)])
    return Finding(
        "sampling",
        f"{samples:,} samples in float32. The ratio is the rate over that of normalised normals; "
        "with a gradient, the time over that without.",
        measurements,
        ["sampler", "time", "ratio", "target"],
        rows,
    )
