"""`sxvae serve` under load: 32 clients for a minute, one request in twenty malformed.

Every good request's response is compared with what the runtime computes, every malformed request
must get its 4xx, no status may be 5xx, and the server's memory must not grow. For comparison the
good requests also run on a bare onnxruntime session in a loop of one thread, without HTTP. Clients
and server share the machine. Linux only, because it reads /proc.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

import sxvae_runtime
from benchmarks.report import arguments, finish, print_table
from benchmarks.runtime import export_untrained

CLIENTS = 32
SECONDS, REDUCED_SECONDS = 60.0, 2.0
MALFORMED_EVERY = 20
INPUTS = 64
TOLERANCE = 1e-6
# What the allocator may still settle after the warm-up, in MiB.
MEMORY_BOUND = 8.0


@dataclass(frozen=True)
class Request:
    """A request, and the response that it must get.

    Attributes:
        content: a whole HTTP request.
        status: of the response.
        graph: name and input of the graph that computes the response; None if malformed.
        expected: the numbers in the response; None if malformed.
    """

    content: bytes
    status: int
    graph: tuple[str, NDArray[np.float32]] | None = None
    expected: NDArray[np.float32] | None = None


@dataclass
class Found:
    """What the clients have measured: seconds and statuses of responses, and what was wrong."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def post(path: str, body: bytes, header_length: int | None = None) -> bytes:
    """An HTTP request."""
    kind = "application/json" if header_length is None else "application/octet-stream"
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {kind}"]
    if header_length is not None:
        lines.append(f"Inference-Header-Content-Length: {header_length}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def binary(model: str, name: str, value: NDArray[np.float32], output: str) -> bytes:
    """An inference request whose tensors are bytes in both directions."""
    data = value.tobytes()
    entry = {"name": name, "shape": list(value.shape), "datatype": "FP32"}
    head = json.dumps(
        {
            "inputs": [{**entry, "parameters": {"binary_data_size": len(data)}}],
            "outputs": [{"name": output, "parameters": {"binary_data": True}}],
        }
    ).encode()
    return post(f"/v2/models/{model}/infer", head + data, len(head))


def good_requests(bundle: Path) -> list[Request]:
    """One image or code each: encoded and decoded as bytes, and every fourth decoded as JSON."""
    app = sxvae_runtime.load(bundle)
    rng = np.random.default_rng(0)
    requests = []
    for i in range(INPUTS):
        x = rng.random((1, *app.input_shape), dtype=np.float32)
        z = app.sample_prior(1, seed=rng)
        encoding = binary("encoder", "x", x, "mean_direction")
        requests.append(Request(encoding, 200, ("encoder", x), app.encode(x).mean_direction))
        plain = post("/decode", json.dumps({"z": z.tolist()}).encode())
        decoding = plain if i % 2 else binary("decoder", "z", z, "mean")
        requests.append(Request(decoding, 200, ("decoder", z), app.decode(z)))
    return requests


def malformed_requests(bundle: Path) -> list[Request]:
    """One request for each kind of mistake, with the status that it must get."""
    ambient = sxvae_runtime.load(bundle).ambient
    nan = np.full((1, ambient), np.nan, dtype=np.float32)
    return [
        Request(post("/v2/models/encoder/infer", b'{"inputs": ['), 400),
        Request(post("/v2/models/nothing/infer", b"{}"), 404),
        Request(binary("decoder", "z", nan, "mean"), 400),
        Request(binary("decoder", "w", nan, "mean"), 400),
        Request(binary("decoder", "z", nan[:, :-1], "mean"), 400),
        Request(post("/decode", b'{"z": [[1, 2, 3]]}'), 422),
        Request(post("/sample", b'{"n": 1000000}'), 422),
        Request(b"POST /decode HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999\r\n\r\n", 413),
        Request(b"POST /decode\r\n\r\n", 400),
    ]


async def read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read the next response: status, headers (lower-case names) and body."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", 0))
    return int(lines[0].split()[1]), headers, await reader.readexactly(length)


def numbers(headers: dict[str, str], body: bytes) -> NDArray[np.float32]:
    """The tensor in a response, flat."""
    length = headers.get("inference-header-content-length")
    if length is not None:
        return np.frombuffer(body[int(length) :], dtype="<f4")
    return np.float32(json.loads(body)["x"]).ravel()


async def client(port: int, requests: Iterator[Request], end: float, found: Found) -> None:
    """Send one request after another, on a connection as long as the server keeps it."""
    connection = None
    while time.perf_counter() < end:
        request = next(requests)
        if connection is None:
            connection = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = connection
        start = time.perf_counter()
        writer.write(request.content)
        status, headers, body = await read_response(reader)
        if request.expected is not None:
            found.latencies.append(time.perf_counter() - start)
        found.statuses[status] += 1
        if status != request.status:
            found.wrong.append(f"{status} instead of {request.status}: {body[:200]!r}")
        elif request.expected is not None:
            difference = np.abs(numbers(headers, body) - request.expected.ravel()).max()
            if not difference <= TOLERANCE:
                found.wrong.append(f"a response is wrong by {difference:.2g}")
        if request.expected is None:  # a new connection: the server may close it, or still listen
            writer.close()
            connection = None
    if connection is not None:
        connection[1].close()


async def load(port: int, requests: Iterator[Request], seconds: float) -> Found:
    """Run all clients at the same time."""
    found = Found()
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, requests, end, found) for _ in range(CLIENTS)))
    return found


@contextmanager
def server(bundle: Path) -> Iterator[tuple[int, int]]:
    """Run `sxvae serve`; gives its process id and port."""
    command = [sys.executable, "-m", "sxvae_cli", "serve", str(bundle), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = re.search(r":(\d+)$", process.stderr.readline())
        if address is None:
            raise RuntimeError(process.stderr.read())
        try:
            yield process.pid, int(address[1])
        finally:
            process.terminate()


def resident(process: int) -> float:
    """A process's memory in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def bare(bundle: Path, good: list[Request], seconds: float) -> list[float]:
    """Seconds of each good request on an onnxruntime session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(
            bundle / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
        )
        for name in ("encoder", "decoder")
    }
    latencies = []
    end = time.perf_counter() + seconds
    for request in itertools.cycle(good):
        assert request.graph is not None
        name, value = request.graph
        feed = {sessions[name].get_inputs()[0].name: value}
        start = time.perf_counter()
        sessions[name].run(None, feed)
        latencies.append(time.perf_counter() - start)
        if time.perf_counter() > end:
            return latencies
    raise RuntimeError("there are no requests")


def row(what: str, latencies: list[float], seconds: float) -> list[str]:
    """A row of the table: rate, median and 99th percentile."""
    median, late = np.percentile(latencies, [50, 99]) * 1e3
    return [what, f"{len(latencies) / seconds:,.0f}", f"{median:.3g} ms", f"{late:.3g} ms"]


def main() -> None:
    reduced = arguments(__doc__).reduced
    seconds = REDUCED_SECONDS if reduced else SECONDS
    with tempfile.TemporaryDirectory() as folder:
        bundle = export_untrained(Path(folder))
        good, malformed = good_requests(bundle), malformed_requests(bundle)
        turns = itertools.cycle(malformed)
        requests = (
            next(turns) if i % MALFORMED_EVERY == 0 else good[i % len(good)]
            for i in itertools.count(1)
        )
        with server(bundle) as (process, port):
            idle = resident(process)
            asyncio.run(load(port, requests, seconds / 10))
            before = resident(process)
            found = asyncio.run(load(port, requests, seconds))
            after = resident(process)
        alone = bare(bundle, good, seconds / 10)
    print_table(
        ["one image or code a request", "good requests/s", "median", "99th percentile"],
        [
            row(f"sxvae serve, {CLIENTS} clients, {seconds:g} s", found.latencies, seconds),
            row("bare onnxruntime loop", alone, seconds / 10),
        ],
    )
    print(f"\nResponses: {', '.join(f'{n:,} x {s}' for s, n in sorted(found.statuses.items()))}.")
    print(f"Memory: {idle:.1f} MiB idle, {before:.1f} after a warm-up, {after:.1f} after the load.")
    broken = []
    if found.wrong:
        broken.append(f"{len(found.wrong)} wrong responses, such as {found.wrong[0]}")
    if after - before > MEMORY_BOUND:
        broken.append(f"memory grew by {after - before:.1f} MiB, more than {MEMORY_BOUND:g}")
    finish(broken)


if __name__ == "__main__":
    main()
