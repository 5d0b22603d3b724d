"""The table of a model's test figures."""

from __future__ import annotations

from typing import Any

from sxvae_cli.console import print_table


def print_figures(figures: dict[str, Any]) -> None:
    """Print what `sxvae eval --json` gives as a table."""
    rows = [
        (
            "log-likelihood",
            f"{figures['log_likelihood']:.3f} ± {figures['log_likelihood_se']:.3f} nats",
        ),
        ("ELBO", f"{figures['elbo']:.3f} nats"),
        ("reconstruction", f"{figures['reconstruction']:.3f} nats"),
        ("KL", f"{figures['kl']:.3f} nats"),
        ("KL per factor", _numbers(figures["kl_per_factor"])),
        ("concentration per factor", _numbers(figures["concentration_per_factor"])),
        *_active_row(figures),
        ("images", f"{figures['images']} of {figures['dataset']}, {figures['split']} split"),
        (
            "importance samples",
            f"{figures['samples']} an image, seed {figures['seed']}{_effective(figures)}",
        ),
        ("checkpoint", figures["checkpoint"]),
    ]
    if "probe" in figures:
        rows += _probe_rows(figures["probe"])
    print_table("Test figures" if figures["split"] == "test" else "Figures", rows)


def _active_row(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Runs of before this figure do not have it."""
    if "active_factors" not in figures:
        return []
    return [("active factors", f"{figures['active_factors']} of {len(figures['kl_per_factor'])}")]


def _effective(figures: dict[str, Any]) -> str:
    """Runs of before this figure do not have it."""
    if "effective_sample_size" not in figures:
        return ""
    return f"; effective sample size {figures['effective_sample_size']:.1f}"


def _probe_rows(probe: dict[str, Any]) -> list[tuple[str, str]]:
    """Accuracy by nearest neighbours, in percent."""
    return [
        (
            f"accuracy, {labels} labels",
            f"{100 * found['joint']:.1f} ± {100 * found['joint_sd']:.1f} %; per factor "
            + ", ".join(f"{100 * value:.1f}" for value in found["per_factor"]),
        )
        for labels, found in probe["accuracy"].items()
    ]


def _numbers(values: list[float | None]) -> str:
    return ", ".join("-" if value is None else f"{value:.3f}" for value in values)
