"""The REST API: encode, decode, sample and interpolate, with JSON in, and JSON or a PNG out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from sxvae_runtime import Bundle, InputError, Posterior
from sxvae_runtime.pictures import image_grid, png_bytes
from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.serving.media import PNG, wants_png
from sxvae_runtime.serving.models import Model
from sxvae_runtime.serving.responses import error_descriptions, json_response
from sxvae_runtime.serving.workers import Workers

_COLUMNS = 16

Number = Annotated[float, Field(allow_inf_nan=False)]
Vector = list[Number]
Picture = list[list[Vector]]  # (C, H, W)
Floats = NDArray[np.float32]


class _Body(BaseModel):
    """A request's body: no type is converted, and no unknown field is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Images(_Body):
    """Images to encode."""

    x: list[Picture] = Field(min_length=1, description="(n, C, H, W), from 0 to 1.")


class LatentVectors(_Body):
    """Latent vectors to decode."""

    z: list[Vector] = Field(min_length=1, description="(n, ambient), of norm 1 on each sphere.")


class SampleRequest(_Body):
    """Draws from the prior, or from the posteriors of images."""

    n: int = Field(1, ge=1, description="How many: from the prior, or from each image's posterior.")
    seed: int | None = Field(
        None, ge=0, lt=2**63, description="The same seed gives the same draws."
    )
    x: list[Picture] | None = Field(
        None, min_length=1, description="Draw from these images' posteriors: (m, C, H, W)."
    )


class InterpolationRequest(_Body):
    """The path between two latent vectors."""

    z0: Vector = Field(description="(ambient,), of norm 1 on each sphere.")
    z1: Vector = Field(description="(ambient,), of norm 1 on each sphere.")
    steps: int = Field(10, ge=2, description="How many points, both ends included.")
    long_way: bool = Field(False, description="Take the longer arc on every sphere.")


class Posteriors(BaseModel):
    """q(z given x) of each image."""

    mean_direction: list[Vector]
    concentration: list[Vector]
    scale: list[Vector] | None = Field(None, description="Of the Euclidean factors, if any.")


class Decoded(BaseModel):
    """The likelihood's means."""

    x: list[Picture]


class DecodedVectors(BaseModel):
    """Latent vectors and what they decode to; posterior draws have a further axis in front."""

    z: list[Any]
    x: list[Any]


def rest_api(
    bundle: Bundle, models: dict[str, Model], workers: Workers, limits: Limits
) -> APIRouter:
    """The routes for a bundle."""
    router = APIRouter(tags=["REST"])
    encoder, decoder = models["encoder"].compute, models["decoder"].compute

    def decoded(z: Floats) -> Floats:
        return decoder({"z": z})["mean"]

    def check_rows(rows: int) -> None:
        if rows > limits.batch:
            raise InputError(f"this asks for {rows} rows; a request may have {limits.batch}")

    async def respond(
        request: Request,
        compute: Callable[[], dict[str, Floats]],
        draw: Callable[[dict[str, Floats]], tuple[Floats, int | None]],
    ) -> Response:
        """The result as JSON, or as a picture if the client prefers that."""
        png = wants_png(request.headers.get("accept"))

        def work() -> Response:
            found = compute()
            if png:
                return Response(_png(*draw(found)), media_type=PNG)
            return json_response({name: value.tolist() for name, value in found.items()})

        return await workers.run(work)

    @router.post("/encode", responses=_responses(Posteriors), summary="Encode images")
    async def encode(body: Images, request: Request) -> Response:
        """As a picture: the images, and below each what its mean direction decodes to."""

        def compute() -> dict[str, Floats]:
            check_rows(len(body.x))
            return encoder({"x": _array(body.x, "x")})

        def draw(found: dict[str, Floats]) -> tuple[Floats, int | None]:
            pairs = _array(body.x, "x"), decoded(found["mean_direction"])
            return _interleaved_rows(*pairs), min(len(body.x), _COLUMNS)

        return await respond(request, compute, draw)

    @router.post("/decode", responses=_responses(Decoded), summary="Decode latent vectors")
    async def decode(body: LatentVectors, request: Request) -> Response:
        """As a picture: a grid, row by row."""

        def compute() -> dict[str, Floats]:
            check_rows(len(body.z))
            return {"x": decoded(_array(body.z, "z"))}

        return await respond(request, compute, lambda found: (found["x"], None))

    @router.post("/sample", responses=_responses(DecodedVectors), summary="Sample and decode")
    async def sample(body: SampleRequest, request: Request) -> Response:
        """As a picture: a grid; with images, a column for each of them and a row for each draw."""

        def compute() -> dict[str, Floats]:
            check_rows(body.n * len(body.x or [0]))
            if body.x is None:
                z = bundle.sample_prior(body.n, seed=body.seed)
                return {"z": z, "x": decoded(z)}
            q = Posterior(**encoder({"x": _array(body.x, "x")}))
            z = bundle.sample_posterior(q, body.n, seed=body.seed)
            x = decoded(z.reshape(-1, z.shape[-1]))
            return {"z": z, "x": x.reshape(*z.shape[:2], *x.shape[1:])}

        def draw(found: dict[str, Floats]) -> tuple[Floats, int | None]:
            x = found["x"]
            columns = None if body.x is None else len(body.x)
            return x.reshape(-1, *x.shape[-3:]), columns

        return await respond(request, compute, draw)

    @router.post(
        "/interpolate", responses=_responses(DecodedVectors), summary="Interpolate and decode"
    )
    async def interpolate(body: InterpolationRequest, request: Request) -> Response:
        """Along a great circle on each sphere. As a picture: the steps side by side."""

        def compute() -> dict[str, Floats]:
            check_rows(body.steps)
            ends = (_array(body.z0, "z0"), _array(body.z1, "z1"))
            z = bundle.interpolate(*ends, body.steps, long_way=body.long_way)
            return {"z": z, "x": decoded(z)}

        return await respond(request, compute, lambda found: (found["x"], _COLUMNS))

    return router


def _responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    success = {"model": model, "content": {PNG: picture}}
    return {200: success, **error_descriptions(400, 406, 408, 413, 415, 422, 503)}


def _array(value: list[Any], name: str) -> Floats:
    """Nested lists as a float32 array; the runtime checks its shape and values.

    Raises:
        InputError: if the rows differ in shape.
    """
    try:
        with np.errstate(over="ignore"):  # what is too large for a float32 is refused as infinite
            return np.asarray(value, dtype=np.float32)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} is no array: its rows differ in shape") from error


def _interleaved_rows(above: Floats, below: Floats) -> Floats:
    """Rows of `above`, each followed by its row of `below`; the last ones are filled with white."""
    columns = min(len(above), _COLUMNS)
    white = np.ones((-len(above) % columns, *above.shape[1:]), dtype=np.float32)
    rows = []
    for images in (above, below):
        rows.append(np.concatenate([images, white]).reshape(-1, columns, *above.shape[1:]))
    return np.stack(rows, axis=1).reshape(-1, *above.shape[1:])


def _png(images: Floats, columns: int | None) -> bytes:
    return png_bytes(image_grid(images, columns))
