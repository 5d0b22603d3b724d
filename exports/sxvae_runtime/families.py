"""The families of posterior distributions: their names and titles. Standard library only.

A family's name is what users write (`--distribution vmf`) and what settings and manifests store.
Its title is what pictures show. `cosines` draws its samples.
"""

from __future__ import annotations

# From name to title: the families on spheres.
SPHERICAL_TITLES = {
    "vmf": "vMF",
    "power-spherical": "power spherical",
    "spherical-cauchy": "spherical Cauchy",
}
# A factor with a normal posterior is Euclidean.
NORMAL = "normal"

TITLES = {**SPHERICAL_TITLES, NORMAL: "normal"}
SPHERICAL_FAMILIES = tuple(SPHERICAL_TITLES)
FAMILIES = tuple(TITLES)
