"""Samples per second beside their peers: `python -m benchmarks.speed`.

Everything runs in one process with two threads, interleaved, and the median of the rounds counts.
Sampling: 100,000 distinct (loc, k) in float32, k log-uniform from 0.1 to 1,000, against normalised
normals, the least that any sampler does, the `power-spherical` package and TensorFlow Probability
on JAX where they are installed (extra `bench`), and SciPy's von Mises-Fisher, which knows a single
(loc, k), in float64.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.stats
import torch

from benchmarks.report import arguments, print_table
from sxvae.distributions import PowerSpherical, VonMisesFisher

AMBIENTS = [3, 5, 10, 50, 200]
SAMPLES, ROUNDS = 100_000, 9
FEWER_SAMPLES, FEWER_ROUNDS = 2_000, 2

Task = Callable[[], object]


def medians(tasks: dict[str, Task], rounds: int) -> dict[str, float]:
    """Seconds of each, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in seconds.items()}


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def tfp_sampler(loc: torch.Tensor, k: torch.Tensor) -> Task:
    """Compiled; a fresh key each time."""
    import jax
    from tensorflow_probability.substrates import jax as tfp

    def draw(loc: object, k: object, key: object) -> object:
        return tfp.distributions.VonMisesFisher(loc, k).sample(seed=key)

    sample, parameters = jax.jit(draw), (jax.numpy.asarray(loc), jax.numpy.asarray(k))
    keys = iter(jax.random.split(jax.random.PRNGKey(0), 1_000))
    return lambda: sample(*parameters, next(keys)).block_until_ready()


def power_spherical_sampler(loc: torch.Tensor, k: torch.Tensor) -> Task:
    import power_spherical

    q = power_spherical.PowerSpherical(loc, k, validate_args=False)
    return lambda: q.sample()


def samplers(ambient: int, samples: int) -> dict[str, Task]:
    loc = torch.nn.functional.normalize(torch.randn(samples, ambient), dim=-1)
    k = 10 ** (torch.rand(samples) * 4 - 1)
    ours = VonMisesFisher(loc, k, validate_args=False)
    power = PowerSpherical(loc, k, validate_args=False)
    single = loc[0].double() / loc[0].double().norm()
    scipys = scipy.stats.vonmises_fisher(single.numpy(), float(k[0]))  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    tasks: dict[str, Task] = {
        "normals": lambda: torch.nn.functional.normalize(torch.randn(samples, ambient), dim=-1),
        "vMF": ours.sample,
        "power spherical": power.sample,
        "SciPy, one (loc, k)": lambda: scipys.rvs(samples, random_state=generator),
    }
    if installed("power_spherical"):
        tasks["power-spherical package"] = power_spherical_sampler(loc, k)
    if installed("tensorflow_probability") and installed("jax"):
        tasks["TFP on JAX"] = tfp_sampler(loc, k)
    return tasks


def print_sampling(samples: int, rounds: int) -> None:
    found = {ambient: medians(samplers(ambient, samples), rounds) for ambient in AMBIENTS}
    print(f"{samples:,} samples; millions a second (over normalised normals)\n")
    rows = []
    for name in next(iter(found.values())):
        row = [name]
        for seconds in found.values():
            ratio = seconds["normals"] / seconds[name]
            row.append(f"{samples / seconds[name] / 1e6:.2f} ({ratio:.2f})")
        rows.append(row)
    print_table(["sampler", *(f"p = {ambient}" for ambient in found)], rows)


def main() -> None:
    reduced = arguments(__doc__).reduced
    torch.set_num_threads(2)
    torch.manual_seed(0)
    rounds = FEWER_ROUNDS if reduced else ROUNDS
    print_sampling(FEWER_SAMPLES if reduced else SAMPLES, rounds)


if __name__ == "__main__":
    main()
