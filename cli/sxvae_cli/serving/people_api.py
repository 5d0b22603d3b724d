"""The plain face: JSON in, JSON or a picture out."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from sxvae.errors import DataError
from sxvae.plotting.grid import image_grid
from sxvae_cli.serving.answers import described, json_answer
from sxvae_cli.serving.limits import Limits
from sxvae_cli.serving.media import PNG, wants_png
from sxvae_cli.serving.models import Model
from sxvae_cli.serving.workers import Workers
from sxvae_runtime import Bundle, InputError, Posterior

_COLUMNS = 16

Number = Annotated[float, Field(allow_inf_nan=False)]
Vector = list[Number]
Picture = list[list[Vector]]  # (C, H, W)
Floats = NDArray[np.float32]


class _Body(BaseModel):
    """Nothing is converted and nothing is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Images(_Body):
    """Images to encode."""

    x: list[Picture] = Field(min_length=1, description="(n, C, H, W), from 0 to 1.")


class Codes(_Body):
    """Latent vectors to decode."""

    z: list[Vector] = Field(min_length=1, description="(n, ambient), of norm 1 on each sphere.")


class Draws(_Body):
    """What to draw."""

    n: int = Field(1, ge=1, description="How many: from the prior, or from each image's posterior.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same gives the same draws.")
    x: list[Picture] | None = Field(
        None, min_length=1, description="Draw from these images' posteriors: (m, C, H, W)."
    )


class Ends(_Body):
    """Two latent vectors to walk between."""

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


class DecodedCodes(BaseModel):
    """Latent vectors and what they decode to; posterior draws have a further axis in front."""

    z: list[Any]
    x: list[Any]


def people_api(
    bundle: Bundle, models: dict[str, Model], workers: Workers, limits: Limits
) -> APIRouter:
    """The four things that a model does."""
    router = APIRouter(tags=["for people"])
    encoder, decoder = models["encoder"].compute, models["decoder"].compute

    def decoded(z: Floats) -> Floats:
        return decoder({"z": z})["mean"]

    def few(rows: int) -> None:
        if rows > limits.batch:
            raise InputError(f"this asks for {rows} rows; a request may have {limits.batch}")

    async def answer(
        request: Request,
        compute: Callable[[], dict[str, Floats]],
        draw: Callable[[dict[str, Floats]], tuple[Floats, int | None]],
    ) -> Response:
        """What was computed, as the client wants to see it."""
        png = wants_png(request.headers.get("accept"))

        def work() -> Response:
            found = compute()
            if png:
                return Response(_png(*draw(found)), media_type=PNG)
            return json_answer({name: value.tolist() for name, value in found.items()})

        return await workers.run(work)

    @router.post("/encode", responses=_answers(Posteriors), summary="Encode images")
    async def encode(body: Images, request: Request) -> Response:
        """As a picture: the images, and below each what its mean direction decodes to."""

        def compute() -> dict[str, Floats]:
            few(len(body.x))
            return encoder({"x": _array(body.x, "x")})

        def draw(found: dict[str, Floats]) -> tuple[Floats, int | None]:
            pairs = _array(body.x, "x"), decoded(found["mean_direction"])
            return _one_below_the_other(*pairs), min(len(body.x), _COLUMNS)

        return await answer(request, compute, draw)

    @router.post("/decode", responses=_answers(Decoded), summary="Decode latent vectors")
    async def decode(body: Codes, request: Request) -> Response:
        """As a picture: a grid, row by row."""

        def compute() -> dict[str, Floats]:
            few(len(body.z))
            return {"x": decoded(_array(body.z, "z"))}

        return await answer(request, compute, lambda found: (found["x"], None))

    @router.post("/sample", responses=_answers(DecodedCodes), summary="Draw, and decode")
    async def sample(body: Draws, request: Request) -> Response:
        """As a picture: a grid; with images, a column for each of them and a row for each draw."""

        def compute() -> dict[str, Floats]:
            few(body.n * len(body.x or [0]))
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

        return await answer(request, compute, draw)

    @router.post("/interpolate", responses=_answers(DecodedCodes), summary="Walk, and decode")
    async def interpolate(body: Ends, request: Request) -> Response:
        """Along a great circle on each sphere. As a picture: the steps side by side."""

        def compute() -> dict[str, Floats]:
            few(body.steps)
            ends = (_array(body.z0, "z0"), _array(body.z1, "z1"))
            z = bundle.interpolate(*ends, body.steps, long_way=body.long_way)
            return {"z": z, "x": decoded(z)}

        return await answer(request, compute, lambda found: (found["x"], _COLUMNS))

    return router


def _answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    picture = {"schema": {"type": "string", "format": "binary"}}
    success = {"model": model, "content": {PNG: picture}}
    return {200: success, **described(400, 406, 408, 413, 415, 422, 503)}


def _array(value: list[Any], name: str) -> Floats:
    """Numbers as float32; the runtime checks the rest.

    Raises:
        InputError: if the rows differ in shape.
    """
    try:
        with np.errstate(over="ignore"):  # what is too large for a float32 is refused as infinite
            return np.asarray(value, dtype=np.float32)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} is no array: its rows differ in shape") from error


def _one_below_the_other(above: Floats, below: Floats) -> Floats:
    """Rows of `above`, each followed by its row of `below`; the last ones are filled with white."""
    columns = min(len(above), _COLUMNS)
    white = np.ones((-len(above) % columns, *above.shape[1:]), dtype=np.float32)
    rows = []
    for images in (above, below):
        rows.append(np.concatenate([images, white]).reshape(-1, columns, *above.shape[1:]))
    return np.stack(rows, axis=1).reshape(-1, *above.shape[1:])


def _png(images: Floats, columns: int | None) -> bytes:
    try:
        picture = image_grid(images, columns)
    except DataError as error:
        raise InputError(str(error)) from error
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
