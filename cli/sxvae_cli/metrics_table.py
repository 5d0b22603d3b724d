"""The table of a model's metrics."""

from __future__ import annotations

from typing import Any

from sxvae_cli.console import print_table


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print what `sxvae eval --json` gives as a table."""
    rows = [
        ("log-likelihood", f"{with_error(metrics)} nats"),
        ("ELBO", f"{metrics['elbo']:.3f} nats"),
        ("reconstruction", f"{metrics['reconstruction']:.3f} nats"),
        ("KL", f"{metrics['kl']:.3f} nats"),
        ("KL per factor", _numbers(metrics["kl_per_factor"])),
        ("concentration per factor", _numbers(metrics["concentration_per_factor"])),
        *_active_row(metrics),
        ("images", f"{metrics['images']} of {metrics['dataset']}, {metrics['split']} split"),
        (
            "importance samples",
            f"{metrics['samples']} per image, seed {metrics['seed']}{_effective(metrics)}",
        ),
        ("checkpoint", metrics["checkpoint"]),
    ]
    if "probe" in metrics:
        rows += _probe_rows(metrics["probe"])
    print_table("Test metrics" if metrics["split"] == "test" else "Metrics", rows)


def with_error(metrics: dict[str, Any]) -> str:
    """The log-likelihood, with its standard error where there are enough images for one."""
    error = metrics["log_likelihood_se"]
    return f"{metrics['log_likelihood']:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _active_row(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Older runs do not have this metric."""
    if "active_factors" not in metrics:
        return []
    found = f"{metrics['active_factors']} of {len(metrics['kl_per_factor'])} factors"
    return [("KL above 0.01 nat", found)]


def _effective(metrics: dict[str, Any]) -> str:
    """Older runs do not have this metric."""
    if "effective_sample_size" not in metrics:
        return ""
    return f"; effective sample size {metrics['effective_sample_size']:.1f}"


def _probe_rows(probe: dict[str, Any]) -> list[tuple[str, str]]:
    """Accuracies of nearest neighbours, in percent."""
    return [
        (
            f"accuracy, {labels} labels",
            f"{100 * found['joint']:.1f}{_deviation(found)} %; per factor "
            + ", ".join(f"{100 * value:.1f}" for value in found["per_factor"]),
        )
        for labels, found in probe["accuracy"].items()
    ]


def _deviation(found: dict[str, Any]) -> str:
    """There is none where all draws are of the same labelled images."""
    return "" if found["joint_sd"] is None else f" ± {100 * found['joint_sd']:.1f}"


def _numbers(values: list[float | None]) -> str:
    return ", ".join("-" if value is None else f"{value:.3f}" for value in values)
