"""Examples for the API's description that fit the bundle: shapes that no model's schema can say."""

from __future__ import annotations

from fastapi import FastAPI

from sxvae_runtime import Bundle


def add_examples(app: FastAPI, bundle: Bundle) -> None:
    """Put requests that succeed into the description, for people to try."""
    z = bundle.sample_prior(2, seed=0)
    codes, images = z.tolist(), bundle.decode(z[:1]).tolist()
    examples = {
        "/encode": {"x": images},
        "/decode": {"z": codes},
        "/sample": {"n": 4, "seed": 0},
        "/interpolate": {"z0": codes[0], "z1": codes[1], "steps": 8},
    }
    paths = app.openapi()["paths"]
    for path, example in examples.items():
        paths[path]["post"]["requestBody"]["content"]["application/json"]["example"] = example
