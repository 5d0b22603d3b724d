"""Drawing samples around a mean direction, and differentiating them, compiled for the CPU.

The same formulas as in `wood`, `power_spherical`, `implicit`, `rotational_samples` and
`partition_table`, one sample after the other: on a few hundred samples PyTorch spends its time on
calls, not on arithmetic. Numba compiles each function when it is first used and keeps the result
on disk.

Arrays are contiguous. Sample i belongs to row i % rows of the parameters, counted from `start`: the
arrays of samples may be parts of larger ones, done by several threads.
"""

from __future__ import annotations

import math

import numpy as np

from sxvae.kernels.compiler import STEP, Array, compiled, mix, uniform
from sxvae.kernels.constants import VON_MISES_FISHER

# From one sample's seed to the next's.
STREAM = np.uint64(0xD1342543DE82EF95)
_MAX_ROUNDS = 100
_SMALLEST = 2.0**-53
_SMALLEST_CONCENTRATION = 1e-8
_NO_FALL = 1e-30
_MOST_FACTORS = 64
# Added to a number below 2^51, it leaves the nearest integer in the lowest bits.
_SHIFT = 1.5 * 2.0**52
_SIXTH = 1 / 6


@compiled
def draw_gaps(k: Array, ambient: int, seed: int, start: int, near: Array, far: Array) -> int:
    """1 - <loc, x> and 1 + <loc, x> of von Mises-Fisher samples.

    Args:
        k: concentrations, shape (rows,).
        ambient: p.
        seed: of all chance here, 63 bits.
        start: the first sample's number.
        near: filled, shape (n,).
        far: likewise.

    Returns:
        The first row whose concentration is not valid, or -1.
    """
    for i in range(len(near)):
        row = (start + i) % len(k)
        concentration = np.float64(k[row])
        if not 0 <= concentration < math.inf:
            return row
        # A stream of its own for each sample, whatever is drawn for the others.
        state = mix(np.uint64(seed) + np.uint64(start + i) * STREAM)
        if ambient == 3:
            bounded = max(concentration, _SMALLEST_CONCENTRATION)
            gap = -math.log1p(uniform(mix(state)) * math.expm1(-2 * bounded)) / bounded
            near[i] = min(max(gap, _SMALLEST), 2 - 2 * _SMALLEST)
            far[i] = 2 - near[i]
            continue
        twice = 2 * concentration
        b = (ambient - 1) / (math.sqrt(twice * twice + (ambient - 1.0) ** 2) + twice)
        half_sum, half_difference = 0.5 + b / 2, 0.5 - b / 2
        accepted = False
        for _ in range(_MAX_ROUNDS):
            # A point in the unit disc has a uniform angle and, apart from it, a uniform square.
            square = 2.0
            while square > 1:
                state += STEP
                across = 2 * uniform(mix(state)) - 1
                state += STEP
                square = across * across + (2 * uniform(mix(state)) - 1) ** 2
            centred = across / math.sqrt(square)
            if ambient > 2:
                centred *= math.sqrt(1 - math.exp(2 * math.log(square) / (ambient - 2)))
            denominator = half_sum - half_difference * centred
            t = half_sum / denominator
            state += STEP
            level = uniform(mix(state))
            # log t >= 2 (t - 1) / (t + 1) from 1 on, >= (t - 1 / t) / 2 below, exp x >= 1 + x:
            # few need a logarithm.
            fourth = 1 - (ambient - 1) / 4 * (t - 1) ** 2 / (t + min(t, 1.0))
            if (fourth > 0 and level <= fourth**4) or (
                math.log(level) <= (ambient - 1) * (math.log(t) - t + 1)
            ):
                near[i] = b * max(1 + centred, _SMALLEST) / denominator
                far[i] = max(1 - centred, _SMALLEST) / denominator
                accepted = True
                break
        if not accepted:
            return row
    return -1


@compiled
def place(loc: Array, start: int, near: Array, far: Array, direction: Array, x: Array) -> None:
    """Samples from their gaps and uniform tangent directions.

    Args:
        loc: shape (rows, p).
        start: the first sample's number.
        near: 1 - <loc, x>, shape (n,).
        far: 1 + <loc, x>.
        direction: vectors of any length, which are brought to length 1, shape (n, p - 1).
        x: filled with the samples, shape (n, p).
    """
    ambient = loc.shape[1]
    for i in range(len(near)):
        row = (start + i) % len(loc)
        square = 0.0
        for j in range(ambient - 1):
            square += np.float64(direction[i, j]) ** 2
        if square == 0:  # never but for float32 noise that underflows
            direction[i, 0], square = 1, 1.0
        scale, inner = 1 / math.sqrt(square), 0.0
        for j in range(ambient - 1):
            direction[i, j] *= scale
            inner += np.float64(loc[row, j + 1]) * direction[i, j]
        first = np.float64(loc[row, 0])
        towards_pole = math.copysign(1 / (1 + abs(first)), first)
        cosine, sine = 1 - near[i], math.sqrt(near[i] * far[i])
        along = cosine - sine * inner * abs(towards_pole)
        x[i, 0] = along * first - sine * inner * towards_pole
        for j in range(1, ambient):
            x[i, j] = along * loc[row, j] + sine * direction[i, j - 1]


@compiled
def interpolate(k: Array, table: Array, start: float, cell: float, figures: Array) -> None:
    """What `PartitionTable` gives: KL, loss and curvature of each.

    Args:
        k: concentrations, shape (n,).
        table: the coefficients, shape (cells, 3 (degree + 1)).
        start: the logarithm of the first cell's lowest k.
        cell: a cell's width in log k.
        figures: filled, shape (3, n).
    """
    cells, degree = len(table), table.shape[1] // 3 - 1
    smallest, largest = math.exp(start), math.exp(start + cells * cell)
    for i in range(len(k)):
        concentration = np.float64(k[i])
        if math.isnan(concentration):
            figures[:, i] = math.nan
            continue
        position = (math.log(min(max(concentration, smallest), largest)) - start) / cell
        place = min(max(int(position), 0), cells - 1)
        t = 2 * (position - place) - 1
        for figure in range(3):
            value = table[place, 3 * degree + figure]
            for power in range(degree - 1, -1, -1):
                value = value * t + table[place, 3 * power + figure]
            figures[figure, i] = value
        figures[0, i] *= concentration * concentration


@compiled
def _exponential(x: float) -> float:
    """Exp to 1e-11, from 1e-304 to 1e304, as operations that a loop can vectorise."""
    x = min(max(x, -700.0), 700.0)
    shifted = x * 1.4426950408889634 + _SHIFT
    halvings = shifted - _SHIFT
    r = (x - halvings * 0.6931471803691238) - halvings * 1.9082149292705877e-10
    # Its series up to r^9, in pairs: a processor can work on them at the same time.
    r2 = r * r
    r4 = r2 * r2
    low = (1 + r) + (0.5 + r * _SIXTH) * r2
    high = (_SIXTH / 4 + r * _SIXTH / 20) + (_SIXTH / 120 + r * _SIXTH / 840) * r2
    value = low + (high + (_SIXTH / 6_720 + r * _SIXTH / 60_480) * r4) * r4
    # The integer lies in the lowest bits of the shifted number, and belongs into the exponent.
    bits = np.float64(value).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)
    return np.int64(bits).view(np.float64)


@compiled
def _width(ratio: float, first: float, second: float, rate: float, depth: float) -> float:
    """As `implicit._width`."""
    power = first + 0.5
    slope = power - second * ratio - rate
    curvature = max(power + second * ratio * ratio, 0.0)
    u = 2 * depth / (slope + math.sqrt(slope * slope + 2 * depth * curvature))
    if not 0 <= u < 1 - 2.0**-52:
        u = 1 - 2.0**-52
    drop = -(power * math.log(1 - u) + second * math.log(1 + ratio * u) + rate * u)
    fall = power / (1 - u) - second * ratio / (1 + ratio * u) - rate
    u = min(u + (depth - drop) / max(fall, _NO_FALL), 1.0)
    return u / (1 + math.sqrt(1 - u))


@compiled
def _von_mises_fisher_slope(
    near: float,
    far: float,
    k: float,
    mean: float,
    ambient: int,
    nodes: Array,
    weights: Array,
    depth: float,
    scratch: Array,
) -> float:
    """As `wood.cosine_gap_derivative`; `scratch` is of shape (2, nodes)."""
    if ambient == 3:
        k = max(k, _SMALLEST_CONCENTRATION)
        a, b = -math.expm1(-k * near), -math.expm1(-k * far)
        return (far * a * (1 - b) - near * b) / (-math.expm1(-2 * k) * k)
    is_near = near <= mean
    distance, other = (near, far) if is_near else (far, near)
    ratio = distance / other
    rate = k * distance if is_near else -k * distance
    deviation = abs(mean - near)
    power = (ambient - 3) / 2
    width = _width(ratio, power, power, rate, depth)
    factors, values = scratch[0], scratch[1]
    if ambient - 3 > _MOST_FACTORS:  # each of the density's two parts would overflow or underflow
        for node in range(len(nodes)):
            inward = width * nodes[node]
            u = inward * (2 - inward)
            exponent = power * math.log(1 + u * (ratio - 1 - ratio * u)) + rate * u
            values[node] = (1 - inward) * (deviation + distance * u) * math.exp(exponent)
    else:
        for node in range(len(nodes)):
            inward = width * nodes[node]
            u = inward * (2 - inward)
            factors[node] = 1 + u * (ratio - 1 - ratio * u)
            values[node] = (1 - inward) * (deviation + distance * u) * _exponential(rate * u)
        _multiply_by_power(values, factors, ambient - 3)
    total = 0.0
    for node in range(len(nodes)):
        total += weights[node] * values[node]
    return -2 * distance * width * total  # type: ignore[no-any-return]


@compiled
def _multiply_by_power(values: Array, factors: Array, twice: int) -> None:
    """Each value by its factor to the power twice / 2."""
    for _ in range(twice // 2):
        for node in range(len(values)):
            values[node] *= factors[node]
    if twice < 0:
        for node in range(len(values)):
            values[node] /= math.sqrt(factors[node])
    elif twice % 2:
        for node in range(len(values)):
            values[node] *= math.sqrt(factors[node])


@compiled
def _power_spherical_slope(
    near: float,
    far: float,
    k: float,
    mean: float,
    ambient: int,
    nodes: Array,
    weights: Array,
    depth: float,
) -> float:
    """As `power_spherical._gap_derivative`."""
    statistic = math.log1p(-near / 2) if near < 1 else math.log(far / 2)
    is_near = statistic >= -mean
    distance, other = (near, far) if is_near else (far, near)
    ratio = distance / other
    power = (ambient - 3) / 2
    first, second = (power, power + k) if is_near else (power + k, power)
    deviation = abs(statistic + mean)
    width = _width(ratio, first, second, 0.0, depth)
    total = 0.0
    for node in range(len(nodes)):
        inward = width * nodes[node]
        u = inward * (2 - inward)
        log_end, log_other = math.log1p(-u), math.log1p(ratio * u)
        density = math.exp(first * log_end + second * log_other)
        away = log_other if is_near else -log_end
        total += weights[node] * (1 - inward) * density * (deviation + away)
    slope: float = -2 * distance * width * total
    return slope


@compiled
def differentiate(
    family: int,
    start: int,
    grad: Array,
    near: Array,
    far: Array,
    direction: Array,
    loc: Array,
    k: Array,
    mean: Array,
    nodes: Array,
    weights: Array,
    depth: float,
    by_loc: Array,
    by_k: Array,
) -> None:
    """The gradients with respect to loc and k of a function of samples, summed over each row's.

    Args:
        family: as `constants` numbers it.
        start: the first sample's number.
        grad: the function's gradient at the samples, shape (n, p).
        near: the samples' 1 - <loc, x>, shape (n,).
        far: 1 + <loc, x>.
        direction: v, shape (n, p - 1).
        loc: shape (rows, p).
        k: shape (rows,).
        mean: the mean of -s, shape (rows,).
        nodes: of the quadrature on [0, 1].
        weights: their weights.
        depth: of the quadrature.
        by_loc: zeros, added to, shape (rows, p), float64.
        by_k: zeros, added to, shape (rows,), float64.
    """
    ambient, scratch = loc.shape[1], np.empty((2, len(nodes)))
    for i in range(len(near)):
        row = (start + i) % len(loc)
        first = np.float64(loc[row, 0])
        towards_pole = math.copysign(1 / (1 + abs(first)), first)
        shrink = abs(towards_pole)
        cosine, sine = 1 - near[i], math.sqrt(near[i] * far[i])
        along, across, inner = np.float64(grad[i, 0]) * first, 0.0, 0.0
        for j in range(1, ambient):
            along += np.float64(grad[i, j]) * loc[row, j]
            across += np.float64(grad[i, j]) * direction[i, j - 1]
            inner += np.float64(loc[row, j]) * direction[i, j - 1]
        by_inner = along * shrink + towards_pole * grad[i, 0]
        by_sine = across - inner * by_inner
        kept = cosine - sine * inner * shrink
        by_loc[row, 0] += kept * grad[i, 0] + sine * inner * towards_pole * by_inner
        for j in range(1, ambient):
            by_loc[row, j] += kept * grad[i, j] - sine * by_inner * direction[i, j - 1]
        if family == VON_MISES_FISHER:
            slope = _von_mises_fisher_slope(
                near[i],
                far[i],
                np.float64(k[row]),
                mean[row],
                ambient,
                nodes,
                weights,
                depth,
                scratch,
            )
        else:
            slope = _power_spherical_slope(
                near[i], far[i], np.float64(k[row]), mean[row], ambient, nodes, weights, depth
            )
        by_k[row] += (by_sine * cosine / sine - along) * slope
