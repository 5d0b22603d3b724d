"""Examples for the OpenAPI description, with the shapes of the bundle at hand."""

from __future__ import annotations

from fastapi import FastAPI

from sxvae_runtime import Bundle


def add_examples(app: FastAPI, bundle: Bundle) -> None:
    """Put example requests that succeed into the description."""
    z = bundle.sample_prior(2, seed=0)
    vectors, images = z.tolist(), bundle.decode(z[:1]).tolist()
    examples = {
        "/encode": {"x": images},
        "/decode": {"z": vectors},
        "/sample": {"n": 4, "seed": 0},
        "/interpolate": {"z0": vectors[0], "z1": vectors[1], "steps": 8},
    }
    paths = app.openapi()["paths"]
    for path, example in examples.items():
        paths[path]["post"]["requestBody"]["content"]["application/json"]["example"] = example
