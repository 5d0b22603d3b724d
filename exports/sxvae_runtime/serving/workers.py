"""The threads that run the models, and the queue in front of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.exceptions import HTTPException

from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.serving.metrics import Metrics

T = TypeVar("T")

RETRY = {"Retry-After": "1"}


class Workers:
    """Runs work outside the event loop, as many pieces at once as there are threads.

    The queue holds the other requests in progress, whose number `Admission` bounds.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._seconds = limits.seconds
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="sxvae")
        self._free = asyncio.Semaphore(limits.threads)

    async def run(self, work: Callable[[], T]) -> T:
        """The work's result.

        Raises:
            HTTPException: 503 if the result is not there in time.
        """
        arrived = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
                self._metrics.waits.observe(time.perf_counter() - arrived)
                return await asyncio.shield(self._started(work))
        except TimeoutError:
            sentence = f"there was no answer within {self._seconds:g} s; try again later"
            raise HTTPException(503, sentence, RETRY) from None

    def _started(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Start the work; its thread is free when the work ends, even if nobody waits for it."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._timed, work)
        future.add_done_callback(self._ended)
        return future

    def _timed(self, work: Callable[[], T]) -> T:
        with self._metrics.computing.time():
            return work()

    def _ended(self, future: asyncio.Future[T]) -> None:
        self._free.release()
        if not future.cancelled():
            future.exception()  # retrieved, or asyncio would report it as never retrieved
