"""Open Inference Protocol v2: requests and responses as bytes, with Triton's binary extension.

A tensor's values are in the JSON, or their bytes follow it in the order of the inputs; the header
`Inference-Header-Content-Length` then says how long the JSON is.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sxvae_runtime.serving.models import Arrays, Model
from sxvae_runtime.serving.responses import first_problem, json_bytes

HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPE = "FP32"
_LITTLE_ENDIAN = np.dtype("<f4")


class TensorError(ValueError):
    """A request that breaks the protocol, or does not fit the model."""


class Parameters(BaseModel):
    """A tensor's parameters; others that Triton knows are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")
    binary_data_size: int | None = Field(default=None, ge=0, description="Bytes after the JSON.")


class InputTensor(BaseModel):
    """An input: its values, or the number of their bytes."""

    model_config = ConfigDict(strict=True)
    name: str
    shape: list[int] = Field(description="The batch first.")
    datatype: str = Field(examples=[DATATYPE])
    parameters: Parameters = Parameters()
    data: list[Any] | None = Field(None, description="Numbers, nested or flat in row-major order.")


class OutputParameters(BaseModel):
    """An output's parameters; others that Triton knows are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")
    binary_data: bool | None = None


class RequestedOutput(BaseModel):
    """An output that the response should have."""

    model_config = ConfigDict(strict=True)
    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(BaseModel):
    """A request's parameters; the others are for servers with state or a scheduler."""

    model_config = ConfigDict(strict=True)
    binary_data_output: bool = False


class InferRequest(BaseModel):
    """An inference request."""

    model_config = ConfigDict(strict=True)
    id: str | None = None
    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = Field(None, description="All if left out.")
    parameters: RequestParameters = RequestParameters()


class Inference(NamedTuple):
    """A request that has been read and checked.

    Attributes:
        id: the client's name for the request, sent back in the response.
        arrays: the inputs.
        requested: the outputs by name, and whether each is sent as bytes.
    """

    id: str | None
    arrays: Arrays
    requested: dict[str, bool]


class Encoded(NamedTuple):
    """A response's body, and the length of its JSON if bytes follow it."""

    body: bytes
    header_length: int | None


def read_request(body: bytes, header_length: str | None, model: Model, batch: int) -> Inference:
    """Read and check a request for a model, with at most `batch` rows.

    Raises:
        TensorError: saying what is wrong with it.
    """
    head, tail = _parts(body, header_length)
    try:
        request = InferRequest.model_validate_json(head)
    except ValidationError as error:
        raise TensorError(first_problem(error.errors(include_url=False))) from None
    arrays: Arrays = {}
    for tensor in request.inputs:
        _check_tensor(tensor, model, batch)
        if tensor.name in arrays:
            raise TensorError(f"the input {tensor.name!r} is given twice")
        size = tensor.parameters.binary_data_size
        if size is None:
            arrays[tensor.name] = _from_json(tensor)
        else:
            arrays[tensor.name] = _from_bytes(tensor, tail[:size])
            tail = tail[size:]
    if tail:
        raise TensorError(f"{len(tail)} bytes are left over after the inputs")
    _check_set(arrays, model)
    return Inference(request.id, arrays, _requested(request, model))


def encode_response(inference: Inference, model: Model, arrays: Arrays) -> Encoded:
    """The response with the requested outputs."""
    outputs, tail = [], []
    for name, binary in inference.requested.items():
        value = arrays[name]
        entry: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": list(value.shape)}
        if binary:
            tail.append(value.astype(_LITTLE_ENDIAN, copy=False).tobytes())
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            entry["data"] = value.ravel().tolist()
        outputs.append(entry)
    content = {"model_name": model.name, "model_version": "1", "outputs": outputs}
    if inference.id is not None:
        content["id"] = inference.id
    head = json_bytes(content)
    return Encoded(b"".join([head, *tail]), len(head) if tail else None)


def _parts(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON and the bytes after it."""
    if header_length is None:
        return body, b""
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 12):
        raise TensorError(f"{HEADER_LENGTH} is no number: {header_length!r}")
    length = int(header_length)
    if length > len(body):
        raise TensorError(f"{HEADER_LENGTH} is {length}, and the body has {len(body)} bytes")
    return body[:length], body[length:]


def _check_tensor(tensor: InputTensor, model: Model, batch: int) -> None:
    if tensor.name not in model.inputs:
        known = ", ".join(model.inputs)
        raise TensorError(f"the {model.name} has no input {tensor.name!r}; it takes {known}")
    if tensor.datatype != DATATYPE:
        raise TensorError(
            f"{tensor.name} has the datatype {tensor.datatype!r}; {DATATYPE} is needed"
        )
    row = model.inputs[tensor.name]
    if tuple(tensor.shape[1:]) != row or not tensor.shape or tensor.shape[0] < 1:
        needed = ", ".join(map(str, ("n", *row)))
        raise TensorError(f"{tensor.name} has the shape {tensor.shape}; [{needed}] is needed")
    if tensor.shape[0] > batch:
        raise TensorError(f"{tensor.name} has {tensor.shape[0]} rows; a request may have {batch}")


def _from_json(tensor: InputTensor) -> NDArray[np.float32]:
    if tensor.data is None:
        raise TensorError(f"{tensor.name} has no data, and no binary_data_size either")
    try:
        values = np.asarray(tensor.data)
    except ValueError:
        raise TensorError(f"{tensor.name}: the rows of its data differ in shape") from None
    if values.dtype.kind not in "iuf" or values.size != math.prod(tensor.shape):
        count = math.prod(tensor.shape)
        raise TensorError(f"{tensor.name}: its data must be {count} numbers, as its shape says")
    with np.errstate(over="ignore"):  # what is too large for a float32 is refused as infinite
        return values.astype(np.float32).reshape(tensor.shape)


def _from_bytes(tensor: InputTensor, data: bytes) -> NDArray[np.float32]:
    if tensor.data is not None:
        raise TensorError(f"{tensor.name} has both data and binary_data_size")
    size, needed = tensor.parameters.binary_data_size, 4 * math.prod(tensor.shape)
    if size != needed:
        raise TensorError(
            f"{tensor.name}: binary_data_size is {size}, and its shape needs {needed} bytes"
        )
    if len(data) < needed:
        raise TensorError(f"{tensor.name}: {len(data)} of its {needed} bytes are there")
    return np.frombuffer(data, _LITTLE_ENDIAN).astype(np.float32).reshape(tensor.shape)


def _check_set(arrays: Arrays, model: Model) -> None:
    missing = [name for name in model.inputs if name not in arrays]
    if missing:
        raise TensorError(f"the {model.name} needs the input {missing[0]!r} too")
    if len({len(value) for value in arrays.values()}) != 1:
        raise TensorError("the inputs differ in their numbers of rows")


def _requested(request: InferRequest, model: Model) -> dict[str, bool]:
    default = request.parameters.binary_data_output
    if not request.outputs:
        return dict.fromkeys(model.outputs, default)
    requested = {}
    for output in request.outputs:
        if output.name not in model.outputs:
            known = ", ".join(model.outputs)
            raise TensorError(f"the {model.name} has no output {output.name!r}; it gives {known}")
        binary = output.parameters.binary_data
        requested[output.name] = default if binary is None else binary
    return requested
