"""A run as one self-contained HTML file: metrics, settings and pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sxvae.collapse import collapse_sentence
from sxvae.errors import CheckpointError
from sxvae.plotting import (
    Autoencoder,
    concentrations,
    embedding,
    interpolation,
    reconstructions,
    samples,
    swap,
    training,
    turn,
)
from sxvae.plotting.autoencoder import encode_images
from sxvae.plotting.images import circle_indices
from sxvae.plotting.style import figure_bytes
from sxvae.plotting.tiles import shows_channels
from sxvae.runs.checkpoint import read_checkpoint
from sxvae.runs.config_file import read_config
from sxvae.runs.directory import RunDirectory
from sxvae_runtime.text import printable

# A figure whose SVG has more bytes than this is embedded as PNG, if that is smaller.
_LARGEST_SVG = 150_000
# Screen pixels per inch of a figure's printed width.
_PIXELS_PER_INCH = 120
_RECONSTRUCTED, _SAMPLED, _SAMPLED_IN_A_ROW, _TURNED, _SWAPPED = 20, 60, 10, 4, 3

_ABBREVIATIONS = ("elbo", "kl")

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark;
  --ink: #1c1c1c; --faint: #5f6368; --paper: #fff; --line: #dcdfe3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --faint: #a0a6ad; --paper: #17191c; --line: #3a3f45; }
}
body { margin: 0 auto; max-width: 56rem; padding: 1.5rem 1rem 4rem; line-height: 1.5;
  font-family: system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p.warning { border-left: .25rem solid #c7761a; padding: .1rem .7rem; }
p.about, figcaption { color: var(--faint); margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; width: 14rem; color: var(--faint); }
@media (max-width: 36rem) { th { width: 9rem; } }
figure { margin: 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; padding: .6rem;
  box-sizing: border-box; border: 1px solid var(--line); border-radius: .4rem; }
</style>
</head>
<body>
$content
</body>
</html>
""")


def build_report(
    run: RunDirectory,
    autoencoder: Autoencoder,
    x: NDArray[np.float32],
    labels: NDArray[Any] | None,
    *,
    collapsed: Sequence[int] = (),
) -> str:
    """Build the HTML page of a run.

    Args:
        run: the run whose settings, metrics and training are shown; it need not be evaluated yet.
        autoencoder: the run's model.
        x: test images in [0, 1], shape (n, C, H, W).
        labels: the class of each image, shape (n,), or None.
        collapsed: the indices, from 0, of the factors that have collapsed.

    Raises:
        CheckpointError: if a file of the run is damaged.
        ConfigError: if config.json is damaged.
        NumericalError: if a code or a decoded value is not finite.
    """
    config = read_config(run.config)
    checkpoint = read_checkpoint(run.checkpoint())
    space = str(checkpoint.settings.model.space)
    parts = [
        f"<h1>{_safe(run.name)}</h1>",
        f'<p class="about">{_safe(space)}, trained on '
        f"{_safe(checkpoint.settings.data.dataset)}, started "
        f"{_safe(str(config.get('started', '?')))[:19]} (UTC); the model shown is "
        f"{_safe(checkpoint.path.name)}, epoch {checkpoint.metadata.get('epoch', '?')}.</p>",
        *_metrics_part(run),
        *_pictures_part(run, autoencoder, x, labels, collapsed),
        "<h2>Settings</h2>",
        *(
            f"<h3>{_safe(name)}</h3>{_table(config[name])}"
            for name in ("model", "data", "training")
        ),
    ]
    return _PAGE.substitute(title=_safe(run.name), content="\n".join(parts))


def training_figure(run: RunDirectory) -> Figure:
    """Draw a run's training curves with the best epoch marked.

    Raises:
        CheckpointError: if there is no checkpoint, or a file of the run is damaged.
        DataError: if there is no epoch yet.
    """
    factors = read_checkpoint(run.checkpoint()).settings.model.space.factors
    best = read_checkpoint(run.best).metadata.get("epoch") if run.best.is_file() else None
    metrics = run.read_metrics()
    for name in ("kl_per_factor", "val_kl_per_factor"):
        for line in metrics:
            if name in line and len(line[name]) != len(factors):
                raise CheckpointError(
                    f"{run.metrics} is of another model: in epoch {line['epoch']} {name} has "
                    f"{len(line[name])} entries, not {len(factors)}"
                )
    return training(metrics, factors=factors, best_epoch=best)


def _metrics_part(run: RunDirectory) -> list[str]:
    metrics = run.read_evaluation()
    if metrics is None:
        about = "This run has no evaluation yet: <code>sxvae eval</code> measures it."
        return ["<h2>Metrics</h2>", f'<p class="about">{about}</p>']
    about = (
        "Means over the images; likelihoods, ELBO, reconstruction, KL and its parts, mutual "
        "information and marginal KL, in nats per image."
    )
    parts = ["<h2>Metrics</h2>", f'<p class="about">{about}</p>', _table(_shown_metrics(metrics))]
    settings = read_checkpoint(run.checkpoint()).settings
    sentence = collapse_sentence(settings.model.space.factors, metrics, settings.training.free_bits)
    if sentence is not None:
        parts.append(f'<p class="warning">{_safe(sentence[0].upper() + sentence[1:])}.</p>')
    return parts


def _shown_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics with their standard errors behind them."""
    shown = {}
    for key, value in metrics.items():
        if key == "active_factors" and "collapsed" not in metrics:
            continue  # older versions counted something else by this name
        if not key.endswith("_se"):
            shown[key] = _with_error(value, metrics.get(f"{key}_se"))
    return shown


def _with_error(value: object, error: object) -> object:
    """A number, or a number for each factor, with its standard error, if there is one."""
    if isinstance(value, float) and isinstance(error, float):
        return f"{value:z.3f} ± {error:.3f}"
    if isinstance(value, list) and isinstance(error, list) and len(value) == len(error):
        return [_with_error(*pair) for pair in zip(value, error, strict=True)]
    return value


def _pictures_part(
    run: RunDirectory,
    autoencoder: Autoencoder,
    x: NDArray[np.float32],
    labels: NDArray[Any] | None,
    collapsed: Sequence[int],
) -> list[str]:
    parts = []
    if run.read_metrics():
        about = "Loss of the objective; ELBO and KL with weight 1."
        parts += _picture("Training", about, training_figure(run))
    if shows_channels(autoencoder.input_shape[0]):
        parts += _decoded_part(autoencoder, x)
    about = "Where the test images' mean codes lie on each factor."
    figure = embedding(autoencoder, x, labels, collapsed=collapsed)
    parts += _picture("Embedding", about, figure)
    about = "How concentrated the posteriors of the test images are, on each factor."
    parts += _picture("Concentrations", about, concentrations(autoencoder, x))
    return parts


def _decoded_part(autoencoder: Autoencoder, x: NDArray[np.float32]) -> list[str]:
    codes = encode_images(autoencoder, x[:_TURNED])[0]
    ends = codes[0], codes[min(1, len(codes) - 1)]
    parts = [
        *_picture(
            "Reconstructions",
            "Test images, and below each the image that its mean code decodes to.",
            reconstructions(autoencoder, x[:_RECONSTRUCTED]),
        ),
        *_picture(
            "Samples",
            "Decoded draws from the prior.",
            samples(autoencoder, _SAMPLED, columns=_SAMPLED_IN_A_ROW),
        ),
        *_picture(
            "Interpolation",
            "Between two test images: each factor alone with the others held, and all together.",
            interpolation(autoencoder, *ends),
        ),
        *_picture(
            "Component swapping",
            "One factor's code replaced by draws from the prior, the rest kept.",
            swap(autoencoder, codes[:_SWAPPED]),
        ),
    ]
    if circle_indices(autoencoder):
        about = "A full turn around each circle factor, the others held."
        parts += _picture("Full turn", about, turn(autoencoder, codes))
    return parts


def _picture(title: str, caption: str, figure: Figure) -> list[str]:
    """A section that embeds the figure as SVG, or as PNG where the SVG is large and PNG smaller."""
    content, kind = figure_bytes(figure, "svg"), "svg+xml"
    if len(content) > _LARGEST_SVG:
        png = figure_bytes(figure, "png")
        if len(png) < len(content):
            content, kind = png, "png"
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    width = round(_PIXELS_PER_INCH * figure.get_figwidth())
    return [
        f"<h2>{title}</h2>",
        f'<figure><img src="{source}" alt="{title}" width="{width}">',
        f"<figcaption>{caption}</figcaption></figure>",
    ]


def _table(values: Mapping[str, Any]) -> str:
    rows = []
    for key, value in values.items():
        name, shown = _safe(_name(key)), _safe(_text(value))
        rows.append(f"<tr><th>{name}</th><td>{shown}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _safe(text: str) -> str:
    """Text of a file, fit for the page: no markup, and no characters that reverse a line."""
    return html.escape(printable(text))


def _name(key: str) -> str:
    """A key of a JSON file as words: "val_elbo" becomes "val ELBO"."""
    words = key.replace("log_likelihood", "log-likelihood").split("_")
    return " ".join(word.upper() if word in _ABBREVIATIONS else word for word in words)


def _text(value: object) -> str:
    """A setting or metric as text: three decimals, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) >= 1 else f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(entry)}" for key, entry in value.items())
    return str(value)
