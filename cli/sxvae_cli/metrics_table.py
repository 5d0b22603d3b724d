"""The table of a model's metrics."""

from __future__ import annotations

import math
from typing import Any

from sxvae.collapse import collapse_sentence, collapsed_in
from sxvae.config import RunSettings
from sxvae_cli.console import print_table, say


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print what `sxvae eval --json` gives as a table."""
    rows = [
        ("log-likelihood", f"{with_error(metrics)} nats"),
        ("ELBO", f"{metrics['elbo']:.3f} nats"),
        ("reconstruction", f"{metrics['reconstruction']:.3f} nats"),
        ("KL", f"{metrics['kl']:.3f} nats"),
        ("KL per factor", _numbers(metrics["kl_per_factor"])),
        *_information_rows(metrics),
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


def say_collapsed(metrics: dict[str, Any], settings: RunSettings, quiet: bool) -> None:
    """Say which factors have collapsed and what to try, if there are any."""
    free_bits = settings.training.free_bits
    sentence = collapse_sentence(settings.model.space.factors, metrics, free_bits)
    if sentence is not None:
        say(sentence, quiet)


def with_error(metrics: dict[str, Any]) -> str:
    """The log-likelihood, with its standard error where there are enough images for one."""
    error = metrics["log_likelihood_se"]
    return f"{metrics['log_likelihood']:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _information_rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The two parts of each factor's KL. Older runs do not have these metrics."""
    if "mutual_information" not in metrics:
        return []
    largest = math.log(metrics["images"])
    information = _with_errors(metrics, "mutual_information")
    return [
        ("mutual information", f"{information}; at most log({metrics['images']}) = {largest:.3f}"),
        ("marginal KL", _with_errors(metrics, "marginal_kl")),
    ]


def _with_errors(metrics: dict[str, Any], key: str) -> str:
    """A number with its standard error for each factor, where there are enough images for one."""
    values, errors = metrics[key], metrics[f"{key}_se"]
    if errors is None:
        return _numbers(values)
    pairs = zip(values, errors, strict=True)
    return ", ".join(f"{value:z.3f} ± {error:.3f}" for value, error in pairs)


def _active_row(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Older runs counted something else by this name; of a single image nothing can be said."""
    if metrics.get("collapsed") is None:
        return []
    factors = len(metrics["kl_per_factor"])
    collapsed = [str(index + 1) for index in collapsed_in(metrics, factors)]
    found = f"{metrics['active_factors']} of {factors} factors"
    return [("active", found + (f"; collapsed: {', '.join(collapsed)}" if collapsed else ""))]


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
    return ", ".join("-" if value is None else f"{value:z.3f}" for value in values)
