"""The pictures of docs/distributions.md: `python -m benchmarks.pictures`.

Needs matplotlib (extra `bench`) and writes density.png, accuracy.svg and gradient_bias.svg into
docs/images, or the folder given as --out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import mpmath
import numpy as np
import scipy.special
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch.distributions import Distribution, kl_divergence

from benchmarks import reference
from benchmarks.gradient_bias import estimate
from benchmarks.report import parser
from sxvae.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    SphericalCauchy,
    VonMisesFisher,
)
from sxvae.distributions.rotational import RotationallySymmetric

_Array = NDArray[np.float64]
# Okabe and Ito's colours, which colour-blind readers tell apart.
OURS, OTHERS = "#0072B2", "#D55E00"
# With a fixed salt the same picture gives the same bytes.
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "sxvae",
    "svg.fonttype": "none",
}
FAMILY_NAMES: dict[type[RotationallySymmetric], str] = {
    VonMisesFisher: "von Mises-Fisher",
    PowerSpherical: "power spherical",
    SphericalCauchy: "spherical Cauchy",
}
SAMPLES, POINTS = 100_000, 43
FEWER_SAMPLES, FEWER_POINTS = 50_000, 3


def density() -> Figure:
    """The families on S^2, with samples, and what differs between them."""
    concentrations = (1.0, 10.0, 100.0)
    figure = plt.figure(figsize=(7.5, 7.6), layout="constrained")
    loc = torch.tensor([0.5, -0.6, 0.62], dtype=torch.float64)
    loc = loc / loc.norm()
    for row, (family, name) in enumerate(FAMILY_NAMES.items()):
        for column, k in enumerate(concentrations):
            axes = figure.add_subplot(
                3, 3, 3 * row + column + 1, projection="3d", computed_zorder=False
            )
            _sphere(axes, family(loc, torch.tensor(k, dtype=torch.float64)))
            axes.set_title(f"{name}, k = {k:g}", fontsize=9, pad=0)
    return figure


def _sphere(axes: object, q: Distribution) -> None:
    azimuth, polar = np.meshgrid(np.linspace(0, 2 * np.pi, 121), np.linspace(0, np.pi, 61))
    points = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1
    )
    values = q.log_prob(torch.tensor(points)).exp().numpy()
    colours = mpl.colormaps["viridis"](values / values.max())
    plot_surface = getattr(axes, "plot_surface")  # noqa: B009 (3D axes have no public type)
    plot_surface(*np.moveaxis(points, -1, 0), facecolors=colours, shade=False, rstride=1, cstride=1)
    x = 1.01 * q.sample((80,)).numpy()
    view = np.array([np.cos(-0.9), np.sin(-0.9), np.tan(0.5)])
    x = x[x @ view > 0]
    getattr(axes, "scatter")(*x.T, s=2, color="white", depthshade=False, zorder=2)  # noqa: B009
    getattr(axes, "view_init")(elev=np.degrees(0.5), azim=np.degrees(-0.9))  # noqa: B009
    getattr(axes, "set_box_aspect")((1, 1, 1), zoom=1.5)  # noqa: B009
    getattr(axes, "set_axis_off")()  # noqa: B009


def textbook_kl(ambient: int, k: _Array) -> tuple[_Array, _Array]:
    """The KL to the uniform and its derivative as closed forms over scaled Bessel functions."""
    v, half = ambient / 2 - 1, ambient / 2
    with np.errstate(all="ignore"):
        value, following = scipy.special.ive(v, k), scipy.special.ive(v + 1, k)
        ratio = following / value
        log_c = v * np.log(k) - half * np.log(2 * np.pi) - np.log(value) - k
        log_area = np.log(2) + half * np.log(np.pi) - scipy.special.gammaln(half)
        slope = k * (1 - ratio**2 - (ambient - 1) * ratio / k)
        return k * ratio + log_c + log_area, slope


def our_kl(ambient: int, k: _Array) -> tuple[_Array, _Array]:
    loc = torch.zeros(ambient, dtype=torch.float64)
    loc[0] = 1
    variable = torch.tensor(k, requires_grad=True)
    uniform = HypersphericalUniform(ambient - 1, dtype=torch.float64)
    value = kl_divergence(VonMisesFisher(loc, variable), uniform)
    (slope,) = torch.autograd.grad(value.sum(), variable)
    return value.detach().numpy(), slope.numpy()


def accuracy(points: int) -> Figure:
    """Relative errors of the KL to the uniform and of its gradient, against mpmath."""
    mpmath.mp.dps = reference.DIGITS
    ambients, k = (3, 50, 1_000), np.logspace(-6, 8, points)
    figure, axes = plt.subplots(2, 3, figsize=(7.5, 4.2), sharex=True, sharey=True)
    figure.set_layout_engine("constrained")
    for column, ambient in enumerate(ambients):
        exact = [reference.von_mises_fisher(ambient, each) for each in k]
        for row, expected in enumerate(
            (np.array([e.kl for e in exact]), np.array([e.kl_slope for e in exact]))
        ):
            panel = axes[row, column]
            for label, colour, found in (
                ("closed form with scipy.special.ive", OTHERS, textbook_kl(ambient, k)[row]),
                ("sxvae", OURS, our_kl(ambient, k)[row]),
            ):
                finite = np.isfinite(found)
                error = np.array(
                    [
                        float(abs(mpmath.mpf(f) / e - 1)) if ok else np.nan
                        for f, e, ok in zip(found, expected, finite, strict=True)
                    ]
                )
                panel.loglog(k, np.clip(error, 1e-17, 1e3), ".", ms=3, color=colour, label=label)
                lost = ~finite
                panel.loglog(k[lost], np.full(lost.sum(), 1e4), "x", ms=4, color=colour)
            panel.set_ylim(3e-18, 3e4)
            panel.grid(alpha=0.3)
        axes[0, column].set_title(f"p = {ambient:,}", fontsize=9)
        axes[1, column].set_xlabel("concentration k")
    axes[0, 0].set_ylabel("error of the KL")
    axes[1, 0].set_ylabel("error of its gradient")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles.append(Line2D([], [], ls="", marker="x", color=OTHERS))
    figure.legend(
        handles, [*labels, "not finite"], loc="outside upper center", ncols=3, frameon=False
    )
    return figure


def gradient_bias(samples: int) -> Figure:
    """d E[t] / dk from samples, over its exact value, with and without the correction."""
    k = np.logspace(-1, 3, 13)
    figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.6), sharex=True, sharey=True)
    figure.set_layout_engine("constrained")
    for panel, ambient in zip(axes, (2, 5, 50), strict=True):
        found = [estimate(VonMisesFisher, ambient, float(each), samples) for each in k]
        uncorrected = [100 * ((f.uncorrected or np.nan) / f.exact - 1) for f in found]
        corrected = [100 * (f.mean / f.exact - 1) for f in found]
        bars = [400 * f.standard_error / f.exact for f in found]
        panel.semilogx(k, uncorrected, "s-", ms=3, color=OTHERS, label="accepted proposal alone")
        panel.errorbar(
            k,
            corrected,
            bars,
            fmt="o",
            ms=3,
            color=OURS,
            capsize=2,
            label="sxvae, 4 standard errors",
        )
        panel.axhline(0, color="0.6", lw=0.8)
        panel.grid(alpha=0.3)
        panel.set_title(f"p = {ambient}", fontsize=9)
        panel.set_xlabel("concentration k")
    axes[0].set_ylabel("bias of the gradient, %")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--out", type=Path, default=Path("docs/images"), help="the folder")
    given = options.parse_args()
    folder: Path = given.out
    points, samples = (FEWER_POINTS, FEWER_SAMPLES) if given.reduced else (POINTS, SAMPLES)
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("agg")
    plt.style.use(STYLE)
    torch.manual_seed(0)
    density().savefig(folder / "density.png", dpi=130, metadata={"Software": None})
    accuracy(points).savefig(folder / "accuracy.svg", metadata={"Date": None})
    gradient_bias(samples).savefig(folder / "gradient_bias.svg", metadata={"Date": None})
    print(f"density.png, accuracy.svg and gradient_bias.svg in {folder}")


if __name__ == "__main__":
    main()
